import random
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest

from contracts.examples import EXAMPLES

pytestmark = pytest.mark.integration

DAY = timedelta(days=1)


def example(type_name, **change):
    return next(event for event in EXAMPLES if event.type == type_name).model_copy(update=change)


async def test_everything_heard_again_in_any_order_changes_nothing(bus, database, clock, make):
    other = uuid4()
    revoked = make.withdrawal(other, at=make.granted_at)
    access = [make.grant(), make.grant(other), revoked, make.grant(epoch=2, at=make.granted_at + DAY)]
    await bus.tell(*access[:3])
    wants = [make.want(need=9) for _ in range(3)]
    async with database.books(make.certificate_id) as books:
        for want in wants:
            books.answer(want, "gw-1")
    clock.now += DAY
    await bus.tell(access[3])
    signatures = [make.applied(want, total) for want in wants for total in (2, 5, 8)]
    await bus.tell(*signatures)
    before = await database.everything()
    for seed in range(4):
        shuffled = [*signatures, *random.Random(seed).sample(signatures, 5)]
        random.Random(seed).shuffle(shuffled)
        await bus.tell(*access)
        await bus.tell(*shuffled)
    assert await database.everything() == before
    assert [epoch["counted"] for epoch in before["grant_epoch"] if epoch["certificate_id"] == make.certificate_id] == [24, 0]
    assert bus.dead == []


async def test_a_lost_event_is_healed_by_the_next(bus, database, make):
    await bus.tell(make.grant())
    want = make.want(need=9)
    async with database.books(make.certificate_id) as books:
        books.answer(want, "gw-1")
    await bus.tell(make.applied(want, 7))
    [service] = await database.rows("service_usage")
    assert service["total"] == 7


async def test_a_batch_over_midnight_counts_to_each_day_what_its_events_do_one_by_one(bus, database, make):
    one_by_one, at_once = sorted((uuid4(), uuid4()))
    midnight = datetime(2026, 11, 23, 18, 15, tzinfo=UTC)  # in Kathmandu
    account = example("account.v1", account_id=uuid4(), zone="Asia/Kathmandu")
    await bus.tell(account)
    instants = [midnight + timedelta(seconds=seconds) for seconds in (-2, -1, -0.5, 0, 0, 1, 2)]
    for certificate_id in one_by_one, at_once:
        await bus.tell(example("certificate.v1", certificate_id=certificate_id, account_id=account.account_id))
        await bus.tell(make.grant(certificate_id))
        wants = [make.want(certificate_id, need=9) for _ in range(2)]
        async with database.books(certificate_id) as books:
            for want in wants:
                books.answer(want, "gw-1")
        told = [
            (make.applied(want, total), at) for total, at in zip((1, 3, 2, 4, 6, 5, 9), instants, strict=True) for want in wants
        ]
        for batch in [told] if certificate_id == at_once else [[each] for each in told]:
            await bus.tell_at(batch)

    async def counted(certificate_id):
        days = [row for row in await database.rows("usage_day") if row["certificate_id"] == certificate_id]
        [epoch] = [row for row in await database.rows("grant_epoch") if row["certificate_id"] == certificate_id]
        return {row["local_date"].day: row["signatures"] for row in days}, epoch["settled"], epoch["counted"]

    assert await counted(one_by_one) == await counted(at_once) == ({23: 6, 24: 12}, 18, 0)
    assert bus.dead == []


async def test_what_fits_no_block_is_a_dead_letter_and_the_rest_of_its_batch_counts(bus, database, make):
    await bus.tell(make.grant())
    want = make.want(need=9)
    async with database.books(make.certificate_id) as books:
        books.answer(want, "gw-1")
    bad = [
        make.applied(want, 10),
        make.applied(make.want(), 1),
        make.applied(want, 5).model_copy(update={"epoch": 2}),
        make.applied(want, 5).model_copy(update={"client_service_id": uuid4()}),
    ]
    await bus.tell(make.applied(want, 1), *bad, make.applied(want, 3))
    [epoch] = await database.rows("grant_epoch")
    assert epoch["counted"] == 3
    assert len(bus.dead) == len(bad)


async def test_a_withdrawal_of_an_epoch_never_opened_is_a_dead_letter(bus, database, make):
    await bus.tell(make.withdrawal(at=make.granted_at))
    assert len(bus.dead) == 1
    assert await database.rows("access_grant") == []


async def test_the_accounts_notice_hour_and_zone_move_the_next_warning(bus, database, clock, make):
    account = example("account.v1", account_id=uuid4(), version=2, zone="Europe/Lisbon", notice_hour=9)
    await bus.tell(make.grant())
    await bus.tell(account)
    await bus.tell(example("certificate.v1", certificate_id=make.certificate_id, account_id=account.account_id, version=1))
    clock.now = make.granted_at + 53 * DAY
    async with database.books(make.certificate_id, now=clock.now) as books:
        books.review(make.certificate_id)

    async def due():
        return (await database.rows("access_grant"))[0]["next_due_at"]

    assert await due() == datetime(2027, 1, 14, 9, tzinfo=UTC)
    await bus.tell(account.model_copy(update={"version": 3, "notice_hour": 11}))
    assert await due() == datetime(2027, 1, 14, 11, tzinfo=UTC)
    await bus.tell(account.model_copy(update={"version": 4, "zone": "Australia/Lord_Howe", "notice_hour": 9}))
    assert await due() == datetime(2027, 1, 13, 22, tzinfo=UTC)  # the 14th begins earlier there
    await bus.tell(account.model_copy(update={"version": 3, "notice_hour": 5}))
    assert await due() == datetime(2027, 1, 13, 22, tzinfo=UTC)


async def test_a_deleted_certificate_is_warned_of_no_more(bus, database, make):
    account = example("account.v1", version=1)
    await bus.tell(account)
    await bus.tell(make.grant())
    deleted = example("certificate.v1", certificate_id=make.certificate_id, account_id=account.account_id, status="deleted")
    await bus.tell(deleted)
    assert (await database.rows("access_grant"))[0]["next_due_at"] == make.granted_at + 60 * DAY


async def test_a_zone_that_is_none_is_a_dead_letter(bus, database):
    for zone in ("Mars/Olympus", "../etc/passwd", ""):
        await bus.tell(example("account.v1", zone=zone))
    assert len(bus.dead) == 3
    assert await database.rows("account") == []


async def test_days_are_the_accounts(bus, database, make):
    await bus.tell(make.grant())
    want = make.want(need=9)
    async with database.books(make.certificate_id) as books:
        books.answer(want, "gw-1")
    await bus.tell(make.applied(want, 2), at=datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC))
    await bus.tell(make.applied(want, 5), at=datetime(2026, 11, 22, 0, 0, tzinfo=UTC))
    days = {row["local_date"]: row["signatures"] for row in await database.rows("usage_day")}
    assert days == {date(2026, 11, 21): 2, date(2026, 11, 22): 3}


YEAR_1, YEAR_9999 = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 2**31},
        {"usage_limit": 2**63},
        {"warn_before_s": 10**15},
        {"warn_before_s": 10**11},
        {"granted_at": YEAR_1},
        {"expires_at": YEAR_9999},
        {"expires_at": YEAR_1.replace(year=2001)},
    ],
)
async def test_an_impossible_epoch_is_a_dead_letter_and_no_handler_fails(bus, database, make, change):
    await bus.tell(make.grant().model_copy(update=change))
    assert len(bus.dead) == 1
    assert await database.rows("access_grant") == []


async def test_the_largest_possible_epoch_opens(bus, database, make):
    most = {"usage_limit": 2**63 - 1, "epoch": 2**31 - 1, "warn_before_s": 100 * 366 * 86_400}
    await bus.tell(make.grant().model_copy(update=most))
    await bus.tell(example("account.v1", version=2**63), example("account.v1", version=2**63 - 1))
    assert len(bus.dead) == 1
    [epoch] = await database.rows("grant_epoch")
    assert epoch["usage_limit"] == 2**63 - 1


async def test_signatures_at_an_impossible_time_are_a_dead_letter(bus, database, make):
    await bus.tell(make.grant())
    want = make.want(need=9)
    async with database.books(make.certificate_id) as books:
        books.answer(want, "gw-1")
    for at in (YEAR_1, YEAR_9999):
        await bus.tell(make.applied(want, 2), at=at)
    assert len(bus.dead) == 2
    assert await database.rows("usage_day") == []
