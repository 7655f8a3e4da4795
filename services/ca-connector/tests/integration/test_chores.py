import asyncio
from contextlib import suppress
from types import SimpleNamespace
from uuid import uuid4

import pytest
from sqlalchemy import text

from contracts import CaAccessWithdrawn, Certificate

pytestmark = pytest.mark.integration


async def worked(connector, until):
    """Runs the background's own chores until `until()` holds; bounded."""
    chores = next(work for work in connector.background if work.__qualname__.startswith("Chores"))
    task = asyncio.create_task(chores())
    try:
        async with asyncio.timeout(20):
            while not await until():
                await asyncio.sleep(0.05)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_walk_that_stays_away_for_half_an_hour_is_ended(connector, clock):
    walk = await connector.begin(await connector.profile())
    clock.move(minutes=31)

    async def ended():
        _, stands = await connector.call("GET", f"authorisations/{walk['id']}")
        return (stands["status"], stands["reason"]) == ("failed", "timed-out")

    await worked(connector, ended)
    assert (await connector.returned(walk))[1]["status"] == "failed"
    assert connector.ca.calls["oauth2/token"] == 0


async def test_an_exchange_that_a_crash_cut_is_ended_as_interrupted(connector, clock):
    walk = await connector.begin(await connector.profile())
    async with connector.engine.begin() as connection:
        await connection.execute(text("UPDATE authorisation SET exchanging_since = :now"), {"now": clock.now})
    clock.move(minutes=3)

    async def ended():
        return (await connector.call("GET", f"authorisations/{walk['id']}"))[1]["reason"] == "interrupted"

    await worked(connector, ended)


async def test_tokens_given_up_are_revoked_at_the_ca_until_it_confirms(connector, clock):
    certificate = (await connector.registered(await connector.profile()))["certificate_id"]
    connector.ca.moods["oauth2/revocation"] += [503, "cut"]
    await connector.call("POST", f"certificates/{certificate}/revocation", {"operator_id": str(uuid4())})

    async def revoked():
        clock.move(seconds=5)
        return connector.ca.revoked

    await worked(connector, revoked)
    assert len(connector.ca.revoked) == 1
    assert connector.ca.calls["oauth2/revocation"] == 3


async def test_a_deleted_certificate_gives_up_its_access_once_and_frees_its_credential(connector, hear_told):
    profile = await connector.profile()
    walk = await connector.registered(profile)
    facts = {**walk["facts"], "account_id": uuid4(), "alias": "gone", "certificate_authority_id": profile}
    told = {"cause": "deleted", "certificate_id": walk["certificate_id"], "version": 2, "certificate_authority_name": "CA"}
    event = Certificate.model_validate({**facts, **told, "status": "deleted"})
    for _ in range(3):
        await hear_told(SimpleNamespace(event=event))
    assert [each.by for each in await connector.told(CaAccessWithdrawn)] == ["operator"]
    assert (await connector.sign(walk["certificate_id"]))["reason"] == "access-withdrawn"
    assert (await connector.registered(profile, "SEAL-1"))["granted"]["epoch"] == 1
