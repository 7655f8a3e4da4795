"""Messages reach the notifier once; warnings and the end of client certificates come by the calendar, once each."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

import pytest
from sqlalchemy import func, select

from certificate_registry.letters import letter
from certificate_registry.storage.client_certificate_tables import PersonalMessageRow
from certificate_registry.storage.tables import ClientServiceRow

pytestmark = pytest.mark.integration
DAY = timedelta(days=1)


async def waiting(registry: Any) -> int:
    async with registry.sessions() as session:
        return int(await session.scalar(select(func.count()).select_from(PersonalMessageRow)) or 0)


async def put(registry: Any, **more: Any) -> None:
    told = letter(
        "password",
        "pt",
        message_id=uuid5(NAMESPACE_DNS, "once"),
        to="+351910000001",
        by="sms",
        password="123456",
        client_name="x",
    )
    async with registry.sessions.begin() as session:
        await registry.parts.invites.post.put(session, told, **more)


@pytest.fixture
async def certificate(registry: Any, make: Any) -> dict[str, Any]:
    """An issued client certificate of an account with two active operators and an inactive one."""
    account, token = await registry.issuer()
    await registry.operator("issuer", account)
    left, _ = await registry.operator("issuer", account)
    _, root = await registry.operator("administrator")
    await registry.call("PATCH", f"operators/{left}", root, {"status": "inactive"})
    bound = await registry.certificate(account)
    service = await registry.call("POST", "client-services", token, {"certificate_id": str(bound), "name": "ERP"})
    order = {"client_service_id": service.json["id"], "client_name": "e-banking", "csr": make.request()}
    made = await registry.call("POST", "client-certificates", token, order)
    return {**made.json, "token": token}


async def test_a_message_is_kept_while_the_notifier_is_away_and_reaches_it_once(registry, phone):
    phone.status = 503
    await put(registry)
    await put(registry)
    await registry.postman.once()
    await registry.postman.once()  # not before its time
    assert (phone.calls, await waiting(registry)) == (1, 1)
    phone.status = 202
    async with registry.sessions.begin() as session:
        row = (await session.scalars(select(PersonalMessageRow))).one()
        row.next_attempt_at = registry.parts.invites.post.host()
        assert b"123456" not in row.sealed
    await registry.postman.once()
    assert (len(phone.messages), await waiting(registry)) == (1, 0)


async def test_two_that_hand_on_at_once_do_not_hand_on_twice(registry, phone):

    await put(registry)
    await asyncio.gather(*(registry.postman.once() for _ in range(4)))
    assert (len(phone.messages), phone.calls) == (1, 1)


@pytest.mark.parametrize(("status", "kept"), [(422, 0), (401, 1), (403, 1), (429, 1)])
async def test_only_a_message_that_can_never_be_sent_is_dropped(registry, phone, status, kept):
    phone.status = status
    await put(registry)
    await registry.postman.once()
    assert await waiting(registry) == kept


async def test_a_password_that_holds_no_more_is_not_sent(registry, phone):
    await put(registry, useless_from=registry.clock())
    await registry.postman.once()
    assert (phone.calls, await waiting(registry)) == (0, 0)


async def test_operators_are_warned_thirty_seven_and_one_day_before_the_end_once_each(registry, phone, certificate):
    end = datetime.fromisoformat(certificate["valid_until"])
    told = []
    for days in (31, 30, 29, 8, 7, 6, 2, 1, 0.5):
        registry.clock.now = end - days * DAY
        for _ in range(2):
            await registry.calendar.once()
            await registry.postman.once()
        told.append(len(phone.mails()))
    assert told == [0, 2, 2, 2, 4, 4, 4, 6, 6]
    assert {mail["subject"] for mail in phone.mails()} == {
        f"Client certificate “e-banking” ends in {days}" for days in ("30 days", "7 days", "1 day")
    }


async def test_after_an_outage_the_nearest_warning_alone_is_given(registry, phone, certificate):
    registry.clock.now = datetime.fromisoformat(certificate["valid_until"]) - 3 * DAY
    await registry.calendar.once()
    await registry.postman.once()
    assert [mail["subject"] for mail in phone.mails()] == ["Client certificate “e-banking” ends in 7 days"] * 2


async def test_at_its_end_it_is_expired_and_no_longer_told(registry, phone, certificate):
    registry.clock.now = datetime.fromisoformat(certificate["valid_until"])
    await registry.calendar.once()
    path = f"client-certificates/{certificate['id']}"
    assert (await registry.call("GET", path, certificate["token"])).json["status"] == "expired"
    async with registry.sessions() as session:
        service = await session.get_one(ClientServiceRow, certificate["client_service_id"])
    assert service.client_certificates == []
    answer = await registry.call("POST", f"{path}/withdrawal", certificate["token"], {"reason": "x"})
    assert (answer.status, answer.json["type"]) == (409, "client-certificate-over")
    await registry.postman.once()
    assert not phone.mails()


async def test_a_withdrawn_one_warns_nobody(registry, phone, certificate):
    await registry.call("POST", f"client-certificates/{certificate['id']}/withdrawal", certificate["token"], {"reason": "x"})
    registry.clock.now = datetime.fromisoformat(certificate["valid_until"]) - DAY
    await registry.calendar.once()
    await registry.postman.once()
    assert not phone.mails()
