from datetime import UTC, datetime
from itertools import permutations
from uuid import UUID, uuid4

import pytest

from contracts import Certificate, TrustedClientCertificate, UnreadableEvent
from signing_gateway.projections import Known


def test_states_told_in_any_order_and_twice_end_the_same(a):
    certificate_id = uuid4()
    told = [a.grant(certificate_id, version=n, epoch=n) for n in (1, 2, 3)]
    for order in permutations(told):
        known = Known()
        for grant in (*order, *told):
            known.apply()[type(grant)](grant)
        assert known.grants.get(certificate_id).epoch == 3


def test_a_client_id_finds_its_service_until_it_is_gone(a):
    known, service = Known(), a.service(uuid4(), uuid4(), client_id="erp")
    known.keep_service(service)
    assert known.service_of("erp").id == service.client_service_id
    known.keep_service(service.model_copy(update={"version": 2, "client_id": "erp-2"}))
    assert known.service_of("erp") is None
    assert known.service_of("erp-2")
    known.forget_service(str(service.client_service_id))
    assert known.service_of("erp-2") is None


def test_a_deleted_service_logs_in_no_more(a):
    known, service = Known(), a.service(uuid4(), uuid4(), client_id="erp")
    known.keep_service(service)
    known.keep_service(service.model_copy(update={"version": 2, "status": "deleted"}))
    assert known.service_of("erp") is None


def test_a_client_certificate_identifies_the_service_that_named_it_last_as_that_was_last_told(a):
    known, ends = Known(), datetime(2028, 11, 20, tzinfo=UTC)
    listed = [TrustedClientCertificate(sha256="AB" * 32, valid_until=ends)]
    one, another = (a.service(uuid4(), uuid4(), client_id=name, client_certificates=listed) for name in ("erp", "shop"))
    for told in (one, another):
        known.keep_service(told)
    assert known.client_certificate("ab" * 32).service is known.service_of("shop")
    assert known.client_certificate("ab" * 32).valid_until == ends
    known.keep_service(one.model_copy(update={"version": 2, "client_certificates": []}))
    assert known.client_certificate("ab" * 32).service is known.service_of("shop")
    known.keep_service(another.model_copy(update={"version": 2}))
    assert known.client_certificate("ab" * 32).service is known.service_of("shop")
    known.keep_service(another.model_copy(update={"version": 3, "client_certificates": []}))
    assert known.client_certificate("ab" * 32) is None


def test_a_digest_that_is_no_hexadecimal_lets_nobody_in(a):
    known = Known()
    known.keep_service(a.service(uuid4(), uuid4(), client_id="erp", secret_sha256="not hexadecimal"))
    assert known.service_of("erp").secret_digest == b""


def test_the_units_of_an_expired_grant_may_not_be_spent(a):
    known, certificate_id = Known(), uuid4()
    assert known.spendable_epoch(certificate_id) == 0
    known.apply()[type(a.grant(certificate_id))](a.grant(certificate_id, epoch=4))
    assert known.spendable_epoch(certificate_id) == 4
    known.apply()[type(a.grant(certificate_id))](a.grant(certificate_id, epoch=4, version=2, state="expired"))
    assert known.spendable_epoch(certificate_id) == 0


def test_what_many_certificates_have_in_common_is_kept_once(a):
    known, account_id = Known(), uuid4()
    chains = [["bGVhZiAx", "aXNzdWVy"], ["bGVhZiAy", "aXNzdWVy"]]
    told = [a.certificate(uuid4(), account_id, chain=chain) for chain in chains]
    for certificate in told:
        known.apply()[Certificate](certificate)
    one, another = (known.certificates.get(certificate.certificate_id) for certificate in told)
    assert [one.chain, another.chain] == chains
    assert one.issuers is another.issuers
    known.keep_service(a.service(UUID(str(told[0].certificate_id)), account_id))
    [service] = known.services._states.values()
    assert service.certificate_id is one.certificate_id


def test_a_chain_that_is_no_base64_is_refused_by_name(a):
    with pytest.raises(UnreadableEvent, match=r"certificate\.v1: chain: not base64"):
        Known().keep_certificate(a.certificate(uuid4(), uuid4(), chain=["a"]))
