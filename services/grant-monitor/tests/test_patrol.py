import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import update

from grant_monitor.patrol import Patrol
from grant_monitor.retelling import retell_grants, retell_usage
from grant_monitor.storage.tables import ACCESS_GRANT, SERVICE_USAGE
from hosting import host_utc

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)


@pytest.fixture
def patrol(database, clock):
    return Patrol(database.sessions, clock)


async def causes(database):
    return [(told.cause, told.epoch) for told in (await database.told())["access-grants"]]


async def as_if_told_long_ago(database):
    async with database.engine.begin() as connection:
        for table in (ACCESS_GRANT, SERVICE_USAGE):
            await connection.execute(update(table).values(told_at=host_utc() - timedelta(seconds=3)))


async def test_nothing_happens_before_its_time(bus, database, clock, patrol, make):
    await bus.tell(make.grant())
    clock.now = make.granted_at + 53 * DAY - timedelta(microseconds=1)
    assert not await patrol.round()
    assert await causes(database) == [("opened", 1)]


async def test_two_patrols_at_once_warn_and_expire_each_grant_once(bus, database, clock, make):
    certificates = [uuid4() for _ in range(30)]
    await bus.tell(*(make.grant(certificate_id) for certificate_id in certificates))
    patrols = [Patrol(database.sessions, clock) for _ in range(4)]
    for days, cause in ((53, "warned"), (54, "warned"), (60, "expired"), (61, None)):
        clock.now = make.granted_at + days * DAY
        before = len(await causes(database))
        for _ in range(3):
            await asyncio.gather(*(patrol.do_due() for patrol in patrols))
        told = (await database.told())["access-grants"][before:]
        assert {grant.cause for grant in told} == ({cause} if cause else set())
        assert sorted(grant.certificate_id for grant in told) == (sorted(certificates) if cause else [])


async def test_a_week_of_warnings_then_the_end(bus, database, clock, patrol, make):
    await bus.tell(make.grant())
    for hour in range(52 * 24, 62 * 24):
        clock.now = make.granted_at + timedelta(hours=hour)
        await patrol.do_due()
    assert await causes(database) == [("opened", 1), *[("warned", 1)] * 8, ("expired", 1)]
    warned = [told.warned for told in (await database.told())["access-grants"][1:9]]
    assert [day.daily.day for day in warned[1:]] == [14, 15, 16, 17, 18, 19, 20]
    assert (await database.rows("access_grant"))[0]["next_due_at"] is None


async def test_a_block_past_its_validity_is_forfeited_and_a_late_total_is_told_apart(bus, database, patrol, make):
    await bus.tell(make.grant())
    lost, fresh = make.want(need=6), make.want(need=3)
    async with database.books(make.certificate_id, host_now=host_utc() - timedelta(seconds=18)) as books:
        books.answer(lost, "gw-1")
    async with database.books(make.certificate_id) as books:
        books.answer(fresh, "gw-2")
    await bus.tell(make.applied(lost, 1))
    await asyncio.gather(*(patrol.sweep() for _ in range(3)))

    async def counts():
        [epoch] = await database.rows("grant_epoch")
        return {name: epoch[name] for name in ("settled", "forfeited", "reserved", "counted")}

    assert await counts() == {"settled": 1, "forfeited": 5, "reserved": 3, "counted": 0}
    await bus.tell(make.applied(lost, 4))
    assert await counts() == {"settled": 4, "forfeited": 2, "reserved": 3, "counted": 0}


async def test_what_is_counted_is_told_at_most_every_two_seconds_and_its_days_with_it(bus, database, patrol, make):
    await bus.tell(make.grant())
    want = make.want(need=9)
    async with database.books(make.certificate_id) as books:
        books.answer(want, "gw-1")
    await bus.tell(make.applied(want, 2))
    await bus.tell(make.applied(want, 4))
    await as_if_told_long_ago(database)
    told = await asyncio.gather(*(patrol.tell() for _ in range(3)))
    assert [sum(kind) for kind in zip(*told, strict=True)] == [1, 1]
    await bus.tell(make.applied(want, 5))
    assert await patrol.tell() == (0, 0)  # told just now
    told = await database.told()
    assert [(grant.cause, grant.used, grant.version) for grant in told["access-grants"]] == [("opened", 0, 1), ("counted", 4, 2)]
    [usage] = told["usage"]
    assert (usage.total, usage.version, [day.signatures for day in usage.days]) == (4, 1, [4])


async def sign_for(bus, database, make, certificate_id, *, total=1):
    want = make.want(certificate_id, need=9, service=uuid4())
    async with database.books(certificate_id) as books:
        books.answer(want, "gw-1")
    await bus.tell(make.applied(want, total))


async def test_of_many_that_were_counted_those_told_longest_ago_are_told_first_and_all_in_their_turn(bus, database, patrol, make):
    certificates = [uuid4() for _ in range(5)]
    await bus.tell(*(make.grant(certificate_id) for certificate_id in certificates))
    for certificate_id in certificates:
        await sign_for(bus, database, make, certificate_id)
    await as_if_told_long_ago(database)
    first, *others = certificates
    async with database.engine.begin() as connection:
        longest_ago = update(ACCESS_GRANT).where(ACCESS_GRANT.c.certificate_id == first)
        await connection.execute(longest_ago.values(told_at=host_utc() - timedelta(minutes=1)))
    assert await patrol.tell(1) == (1, 1)
    told = (await database.told())["access-grants"][len(certificates) :]
    assert [grant.certificate_id for grant in told] == [first]
    assert [await patrol.tell(3), await patrol.tell(3), await patrol.tell(3)] == [(3, 3), (1, 1), (0, 0)]
    told = await database.told()
    assert sorted(grant.certificate_id for grant in told["access-grants"][-4:]) == sorted(others)
    assert {(grant.used, grant.cause) for grant in told["access-grants"][-5:]} == {(1, "counted")}
    assert len({usage.client_service_id for usage in told["usage"]}) == 5


async def test_a_client_service_never_told_of_comes_before_those_that_were(bus, database, patrol, make):
    await bus.tell(make.grant())
    for total in 1, 2:
        await sign_for(bus, database, make, make.certificate_id, total=total)
        await as_if_told_long_ago(database)
    await sign_for(bus, database, make, make.certificate_id, total=3)
    assert await patrol.tell(1) == (1, 1)
    assert [usage.total for usage in (await database.told())["usage"]] == [3]


async def test_that_a_grant_begins_to_drain_is_told_before_any_count(bus, database, patrol, make):
    counted, drains = uuid4(), uuid4()
    await bus.tell(make.grant(counted))
    await sign_for(bus, database, make, counted)
    await as_if_told_long_ago(database)
    await bus.tell(make.grant(drains, limit=5))
    async with database.books(drains) as books:
        books.answer(make.want(drains, need=5), "gw-1")
    assert await patrol.tell(1) == (1, 1)
    told = (await database.told())["access-grants"][-1]
    assert (told.certificate_id, told.draining) == (drains, True)


async def test_every_state_can_be_told_again_under_its_next_version(bus, database, clock, make):
    ended, running = sorted((uuid4(), uuid4()))
    await bus.tell(make.grant(ended, lasts=DAY, before=DAY / 24), make.grant(running))
    want = make.want(running, need=9)
    async with database.books(running) as books:
        books.answer(want, "gw-1")
    await bus.tell(make.applied(want, 2))
    clock.now = make.granted_at + 2 * DAY
    await Patrol(database.sessions, clock).do_due()
    assert await retell_grants(database.sessions, clock) == 2
    assert await retell_usage(database.sessions, clock) == 1
    told = await database.told()
    assert [(grant.cause, grant.version, grant.used) for grant in told["access-grants"][-2:]] == [
        ("expired", 3, 0),
        ("counted", 2, 2),
    ]
    assert told["usage"][-1].total == 2


async def test_gauges_and_purging_leave_what_is_open(bus, database, patrol, make):
    await bus.tell(make.grant())
    old, kept = make.want(), make.want()
    long_ago = host_utc() - timedelta(days=41)
    async with database.books(make.certificate_id, host_now=long_ago) as books:
        books.answer(old, "gw-1")
        books.settle(old.allowance_id, 1, "gw-1")
        books.answer(kept, "gw-1")
    await patrol.show_gauges()
    await patrol.purge()
    assert [row["allowance_id"] for row in await database.rows("allowance")] == [kept.allowance_id]
