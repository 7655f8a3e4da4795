import asyncio
import random
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from certificate_registry.storage.tables import AccessGrantRow
from contracts import ClientService

pytestmark = pytest.mark.integration


@pytest.fixture
async def service(registry, make):
    """A client service that was active when it was created: its path, certificate and operator's token."""
    account, token = await registry.issuer()
    certificate = await registry.certificate(account)
    await registry.hear(make.grant(certificate))
    made = await registry.call("POST", "client-services", token, {"certificate_id": str(certificate), "name": "ERP"})
    assert (made.json["status"], made.json["activated_for_epoch"]) == ("active", 1)
    return f"client-services/{made.json['id']}", certificate, token


def expired(make, certificate, version=2, epoch=1, reason="time"):
    return make.grant(
        certificate, version=version, epoch=epoch, state="expired", expired_reason=reason, last_expired=epoch, cause="expired"
    )


async def told(registry, service_id):
    """Every state of the service in the outbox, in order."""
    async with registry.sessions() as session:
        bodies = await session.scalars(text("SELECT body FROM outbox WHERE topic = 'client-services' ORDER BY id"))
        events = [ClientService.model_validate_json(body) for body in bodies]
    return [(event.version, event.cause, event.status) for event in events if str(event.client_service_id) == service_id]


async def shown(registry, path, token):
    answer = (await registry.call("GET", path, token)).json
    return answer["status"], answer["reason"]


async def test_an_expiry_suspends_and_is_told_and_audited_once_however_often_it_is_heard(registry, service, make):
    path, certificate, token = service
    for _ in range(3):
        await registry.hear(expired(make, certificate))
    await registry.hear(expired(make, certificate, version=3))
    await registry.hear(make.grant(certificate))
    assert await shown(registry, path, token) == ("inactive", "access-expired")
    service_id = path.partition("/")[2]
    assert await told(registry, service_id) == [(1, "created", "active"), (2, "suspended", "inactive")]
    kept = (await registry.call("GET", f"audit-trail?object_id={service_id}&action=suspended", token)).json
    assert (kept["total"], kept["items"][0]["actor"]) == (1, "certificate-registry")


async def test_after_a_renewal_it_stays_inactive_until_an_operator_activates_it(registry, service, make):
    path, certificate, token = service
    await registry.hear(expired(make, certificate))
    refused = await registry.call("PATCH", path, token, {"status": "active"})
    assert (refused.status, refused.json["type"]) == (409, "grant-not-active")
    assert "expired by time" in refused.json["detail"]
    assert "Renew it first" in refused.json["detail"]
    await registry.hear(make.grant(certificate, version=3, epoch=2, last_expired=1))
    assert await shown(registry, path, token) == ("inactive", "access-expired")
    activated = await registry.call("PATCH", path, token, {"status": "active"})
    assert (activated.status, activated.json["status"], activated.json["activated_for_epoch"]) == (200, "active", 2)
    await registry.hear(expired(make, certificate))
    assert await shown(registry, path, token) == ("active", None)


async def test_a_service_that_an_operator_made_inactive_stays_so(registry, service, make):
    path, certificate, token = service
    assert (await registry.call("PATCH", path, token, {"status": "inactive"})).json["reason"] == "operator"
    await registry.hear(expired(make, certificate))
    await registry.hear(make.grant(certificate, version=3, epoch=2, last_expired=1))
    assert await shown(registry, path, token) == ("inactive", "operator")


async def test_activation_is_judged_by_our_own_clock_as_well(registry, service, make):
    path, _, token = service
    await registry.call("PATCH", path, token, {"status": "inactive"})
    registry.clock.now += timedelta(days=60) - timedelta(microseconds=1)
    assert (await registry.call("PATCH", path, token, {"status": "active"})).status == 200
    registry.clock.now += timedelta(microseconds=1)
    assert (await registry.call("PATCH", path, token, {"status": "active"})).status == 409
    await registry.call("PATCH", path, token, {"status": "inactive"})
    assert (await registry.call("PATCH", path, token, {"status": "active"})).status == 409


async def test_a_service_created_on_an_expired_certificate_starts_inactive(registry, service, make):
    _, certificate, token = service
    await registry.hear(expired(make, certificate))
    made = await registry.call("POST", "client-services", token, {"certificate_id": str(certificate), "name": "Late"})
    assert (made.status, made.json["status"], made.json["reason"]) == (201, "inactive", "created")


async def test_a_service_moved_takes_the_other_certificates_epoch_or_turns_inactive(registry, service, make):
    path, certificate, token = service
    account = UUID((await registry.call("GET", path, token)).json["account_id"])
    active, over = await registry.certificate(account), await registry.certificate(account)
    await registry.hear(make.grant(active, epoch=7, last_expired=6))
    await registry.hear(expired(make, over))
    moved = (await registry.call("PATCH", path, token, {"certificate_id": str(active)})).json
    assert (moved["status"], moved["activated_for_epoch"]) == ("active", 7)
    moved = (await registry.call("PATCH", path, token, {"certificate_id": str(over)})).json
    assert (moved["status"], moved["reason"]) == ("inactive", "access-expired")
    await registry.hear(expired(make, certificate))
    elsewhere = await registry.certificate(await registry.account())
    assert (await registry.call("PATCH", path, token, {"certificate_id": str(elsewhere)})).status == 404
    assert (await registry.call("PATCH", path, token, {"certificate_id": str(uuid4())})).status == 404


@pytest.mark.parametrize("seed", range(4))
async def test_tellings_in_any_order_and_number_end_alike(registry, service, make, seed):
    path, certificate, token = service
    tellings = [
        make.grant(certificate, version=1),
        expired(make, certificate, version=2),
        make.grant(certificate, version=3, epoch=2, last_expired=1),
        make.grant(certificate, version=4, epoch=2, last_expired=1, used=5, cause="counted"),
    ] * 3
    random.Random(seed).shuffle(tellings)
    await asyncio.gather(*(registry.hear(grant) for grant in tellings))
    assert await shown(registry, path, token) == ("inactive", "access-expired")
    async with registry.sessions() as session:
        assert await session.scalar(select(AccessGrantRow.version)) == 4
    assert [cause for _, cause, _ in await told(registry, path.partition("/")[2])] == ["created", "suspended"]


async def test_an_activation_racing_with_an_expiry_never_leaves_it_active(registry, service, make):
    path, certificate, token = service
    for version in range(2, 22, 2):
        epoch = version // 2
        await registry.call("PATCH", path, token, {"status": "inactive"})
        await asyncio.gather(
            registry.call("PATCH", path, token, {"status": "active"}),
            registry.hear(expired(make, certificate, version=version, epoch=epoch)),
        )
        assert (await shown(registry, path, token))[0] == "inactive"
        await registry.hear(make.grant(certificate, version=version + 1, epoch=epoch + 1, last_expired=epoch))


async def test_a_rotated_secret_is_shown_once_and_only_its_digest_is_told(registry, service):
    from hashlib import sha256

    path, _, token = service
    rotated = (await registry.call("POST", f"{path}/secret", token)).json
    assert rotated["client_secret"].startswith("sinete_cs_")
    assert "client_secret" not in (await registry.call("GET", path, token)).json
    async with registry.sessions() as session:
        body = await session.scalar(text("SELECT body FROM outbox WHERE topic = 'client-services' ORDER BY id DESC LIMIT 1"))
    assert ClientService.model_validate_json(body).secret_sha256 == sha256(rotated["client_secret"].encode()).hexdigest()
