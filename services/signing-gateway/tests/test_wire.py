from uuid import uuid4

import msgspec
import pytest

import contracts
from contracts import ca_connector
from signing_gateway import wire

APPLIED = {
    "certificate_id": uuid4(),
    "epoch": 3,
    "client_service_id": uuid4(),
    "allowance_id": uuid4(),
    "first": 0,
    "count": 2,
    "total": 2**40,
    "outcome": "unknown",
}


def test_the_event_is_byte_for_byte_what_its_contract_says():
    told, contract = wire.SignatureApplied(**APPLIED), contracts.SignatureApplied(**APPLIED)
    assert told.body() == contract.body()
    assert (told.topic, told.type, told.key) == (contract.topic, contract.type, contract.key)


def test_a_bulk_call_is_what_its_contract_reads():
    item = {
        "item_id": str(uuid4()),
        "certificate_id": uuid4(),
        "epoch": 1,
        "hashes": ["AAAA"],
        "hash_algorithm_oid": "2.16.840.1.101.3.4.2.1",
        "sign_algorithm_oid": "1.2.840.113549.1.1.11",
    }
    for params in ({}, {"sign_algorithm_params": "MA=="}):
        call = wire.SignCall([wire.SignItem(**item, **params)])
        read = ca_connector.SignCall.model_validate_json(call.body())
        assert read == ca_connector.SignCall(items=[ca_connector.SignItem(**item, **params)])


@pytest.mark.parametrize(
    "told",
    [
        {"outcome": "signed", "signatures": ["AAAA", "BBBB"]},
        {"outcome": "refused", "reason": "epoch-over", "detail": "this grant is over"},
        {"outcome": "unknown"},
    ],
)
def test_a_result_reads_as_its_contract_writes_it(told):
    written = ca_connector.SignResult(item_id=uuid4(), **told)
    (read,) = wire.results(written.model_dump_json().encode())
    assert msgspec.structs.asdict(read) == written.model_dump(mode="json")


@pytest.mark.parametrize(
    ("ours", "contract"),
    [
        (wire.SignItem, ca_connector.SignItem),
        (wire.SignCall, ca_connector.SignCall),
        (wire.SignResult, ca_connector.SignResult),
        (wire.SignatureApplied, contracts.SignatureApplied),
    ],
)
def test_no_field_is_missing_here_that_the_contract_has(ours, contract):
    assert [field.encode_name for field in msgspec.structs.fields(ours)] == list(contract.model_fields)
