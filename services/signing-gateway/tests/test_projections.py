from itertools import permutations
from uuid import uuid4

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
