"""For how long the fence takes an epoch to stand without asking, and that nobody signs by it who must not."""

import asyncio
from base64 import b64encode
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from ca_connector import fence as fences
from ca_connector.fence import LEASE_S, LEASES_OVER_S, RENEWAL_S, Fence, FenceUnknown
from ca_connector.sealing import Sealer
from ca_connector.storage.standing import STANDING
from hosting.database import sessions_of
from hosting.exchanges import Exchanges

pytestmark = pytest.mark.integration


@pytest.fixture
async def certificate(connector):
    return UUID((await connector.registered(await connector.profile()))["certificate_id"])


@pytest.fixture
async def neighbour(connector):
    return UUID((await connector.registered(await connector.profile(), "SEAL-2"))["certificate_id"])


@pytest.fixture
def boot(monkeypatch):
    """The boot time as the fence reads it."""
    boot = SimpleNamespace(time=1_000.0)
    monkeypatch.setattr(fences, "boottime", lambda: boot.time)
    return boot


@pytest.fixture
async def fence(database, boot):
    fence = Fence(database, SimpleNamespace(sessions=sessions_of(database), sealer=Sealer(b64encode(bytes(32)).decode())))
    yield fence
    await fence.close()


async def queries(fence):
    """How often it has asked the database; what it is asking has been answered."""
    while fence._asking:
        await asyncio.sleep(0.005)
    driver = (await fence._connection.get_raw_connection()).driver_connection
    return await driver.fetchval("SELECT generic_plans FROM pg_prepared_statements WHERE statement = $1", STANDING)


async def test_an_epoch_that_stood_is_taken_to_stand_until_its_lease_is_over(fence, certificate, boot):
    assert fence.leased(certificate, {1}) is None
    known = await fence.look(certificate, {1})
    assert (known.standings.keys(), known.until) == ({1}, boot.time + LEASE_S)
    boot.time += LEASE_S - 0.001
    assert fence.leased(certificate, {1}) == known
    boot.time += 0.001
    assert fence.leased(certificate, {1}) is None


async def test_a_lease_begins_before_its_question_however_late_the_answer_is(fence, certificate, boot, connector):
    async with connector.engine.begin() as connection:
        await connection.execute(text("LOCK TABLE epoch IN ACCESS EXCLUSIVE MODE"))
        looking = asyncio.ensure_future(fence.look(certificate, {1}))
        waits = text("SELECT count(*) FROM pg_locks WHERE relation = 'epoch'::regclass AND NOT granted")
        async with asyncio.timeout(20):
            while not await connection.scalar(waits):
                await asyncio.sleep(0.01)
        boot.time += LEASE_S
    assert (await looking).until == boot.time
    assert fence.leased(certificate, {1}) is None


async def test_of_an_epoch_that_was_never_assigned_nothing_is_leased(fence, certificate):
    assert (await fence.look(certificate, {1, 2})).standings.keys() == {1}
    assert fence.leased(certificate, {1, 2}) is fence.leased(certificate, {2}) is None
    assert fence.leased(certificate, {1})


async def test_what_is_in_use_is_renewed_ahead_by_one_query_and_what_is_not_runs_out(fence, certificate, neighbour, boot):
    await asyncio.gather(*(fence.look(each, {1}) for each in (certificate, neighbour)))
    asked = await queries(fence)
    assert fence.leased(neighbour, {1})
    for period in range(1, 5):
        boot.time += RENEWAL_S
        for _ in range(3):
            assert fence.leased(certificate, {1})
        assert await queries(fence) == asked + period
    assert fence.leased(certificate, {1})
    assert fence.leased(neighbour, {1}) is None


async def test_a_lease_that_is_doubted_is_over(fence, certificate):
    await fence.look(certificate, {1})
    fence.doubt(certificate)
    fence.doubt(uuid4())
    assert fence.leased(certificate, {1}) is None


async def test_a_look_at_one_epoch_leases_no_other_and_one_at_two_leases_both(fence, certificate, connector, clock, boot):
    clock.move(days=30)
    await connector.renewed(await connector.profile_of_first(), certificate)
    await fence.look(certificate, {1})
    boot.time += RENEWAL_S
    await fence.look(certificate, {2})
    assert fence.leased(certificate, {1}) is None  # of which nobody asked anew
    await asyncio.gather(fence.look(certificate, {1}), fence.look(certificate, {2}))
    assert fence.leased(certificate, {1, 2})


async def test_with_the_database_away_what_is_leased_may_be_signed_and_then_nothing(fence, certificate, boot, monkeypatch):
    await fence.look(certificate, {1})

    async def away(_keys):
        raise ConnectionRefusedError

    with monkeypatch.context() as patched:
        patched.setattr(fence, "_standings", away)
        boot.time += RENEWAL_S
        assert fence.leased(certificate, {1})
        boot.time += LEASE_S - RENEWAL_S
        assert fence.leased(certificate, {1}) is None
        with pytest.raises(FenceUnknown):
            await fence.look(certificate, {1})
    await fence.look(certificate, {1})
    assert fence.leased(certificate, {1})


async def test_of_more_certificates_than_are_held_those_asked_about_longest_ago_are_forgotten(
    fence, certificate, neighbour, monkeypatch
):
    monkeypatch.setattr(fences, "HELD_ACCESSES", 1)
    for each in (certificate, neighbour, certificate):
        await fence.look(each, {1})
        assert fence.access(each).certificate_id == each
    await fence.look(certificate, {1})
    assert fence.leased(certificate, {1})
    assert fence.access(neighbour) is None


async def test_once_giving_up_is_answered_no_instance_signs_whatever_it_knew_before(connector, a_connector, certificate, ca):
    assert LEASES_OVER_S > LEASE_S
    busy, idle = [await a_connector() for _ in range(2)]
    answered = asyncio.Event()

    async def signing():
        outcomes = []
        while not answered.is_set():
            outcomes.append((await busy.sign(str(certificate)))["outcome"])
        return outcomes

    task = asyncio.create_task(signing())
    await asyncio.sleep(LEASE_S)
    assert (await idle.sign(str(certificate)))["outcome"] == "signed"
    body = {"operator_id": str(uuid4())}
    assert (await connector.call("POST", f"certificates/{certificate}/revocation", body))[0] == 204
    signed = len(ca.journal)
    answers = await asyncio.gather(*(each.sign(str(certificate)) for each in (busy, idle)))
    answered.set()
    assert [each.get("reason") for each in answers] == ["access-withdrawn"] * 2
    outcomes = await task
    assert (outcomes[0], outcomes[-1], len(ca.journal)) == ("signed", "refused", signed)


async def test_a_call_whose_connection_took_longer_than_its_lease_is_judged_again(connector, a_connector, ca, monkeypatch):
    profile = await connector.profile(approval="in-back-office", signing="sad-per-grant")
    certificate = (await connector.registered(profile))["certificate_id"]
    fresh, connect = await a_connector(), Exchanges._connected

    async def connected_late(exchanges):
        made = await connect(exchanges)
        monkeypatch.setattr(Exchanges, "_connected", connect)
        by = {"operator_id": str(uuid4())}
        assert (await connector.call("POST", f"certificates/{certificate}/revocation", by))[0] == 204
        return made

    monkeypatch.setattr(Exchanges, "_connected", connected_late)
    assert (await fresh.sign(certificate))["reason"] == "access-withdrawn"
    assert not ca.journal
