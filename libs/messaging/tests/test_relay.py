import asyncio
import gc
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags
from sqlalchemy import func, inspect, select, text, update

from contracts import Account
from contracts.envelope import header, instant
from hosting.database import open_engine
from messaging import EventTooLarge, Relay, put, put_tombstone, retell
from messaging.outbox import OUTBOX, create_outbox
from messaging.testing import create_topics, delete_topics

pytestmark = pytest.mark.integration
NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


@pytest.fixture
def relay(engine, bootstrap, prefix, clock):
    return Relay(engine, bootstrap, service="certificate-registry", clock=clock, prefix=prefix)


@pytest.fixture
def unsent(sessions):
    async def count():
        async with sessions() as session:
            return (await session.execute(select(func.count()).where(OUTBOX.c.sent_at.is_(None)))).scalar()

    return count


@pytest.fixture
def all_sent(unsent):
    async def wait():
        async with asyncio.timeout(30):
            while await unsent():
                await asyncio.sleep(0.02)

    return wait


async def test_what_is_put_is_sent_once_it_is_committed(relay, sessions, prefix, background, all_sent, all_of, an_account):
    background(relay.run())
    async with sessions.begin() as session:
        await put(session, an_account(1), an_account(2), at=NOW)
    async with sessions() as session:
        await put(session, an_account(3), at=NOW)
        await session.rollback()
    await all_sent()
    records = await all_of(f"{prefix}accounts")
    assert [Account.model_validate_json(record.value).version for record in records] == [1, 2]
    first = records[0]
    assert first.key.decode() == str(an_account().account_id)
    assert header(first.headers, "ce_type") == "account.v1"
    assert header(first.headers, "ce_source") == "certificate-registry"
    assert instant(header(first.headers, "ce_time")) == NOW


async def test_the_trace_survives_the_outbox(relay, sessions, prefix, background, all_sent, all_of, an_account):
    context = SpanContext(0x1234, 0x5678, is_remote=False, trace_flags=TraceFlags(1))
    with trace.use_span(NonRecordingSpan(context)):
        async with sessions.begin() as session:
            await put(session, an_account(), at=NOW)
    background(relay.run())
    await all_sent()
    (record,) = await all_of(f"{prefix}accounts")
    assert header(record.headers, "traceparent") == f"00-{0x1234:032x}-{0x5678:016x}-01"


async def test_a_tombstone_and_states_told_again_travel_too(relay, sessions, prefix, background, all_sent, all_of, an_account):
    async with sessions.begin() as session:
        assert await retell(session, [an_account(7)], NOW) == 1
        await put_tombstone(session, Account, an_account().account_id, at=NOW)
    background(relay.run())
    await all_sent()
    told, tombstone = await all_of(f"{prefix}accounts")
    assert (told.key, tombstone.value) == (tombstone.key, None)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_relay_that_dies_again_and_again_keeps_the_order_of_each_key(
    engine, bootstrap, sessions, prefix, clock, all_sent, all_of, an_account
):
    accounts = [uuid4() for _ in range(5)]

    async def tell_all():
        for version in range(1, 41):
            async with sessions.begin() as session:
                await put(session, *(an_account(version, account) for account in accounts), at=NOW)

    telling = asyncio.create_task(tell_all())
    for lives in range(6):
        relay = Relay(engine, bootstrap, service="certificate-registry", clock=clock, prefix=prefix)
        running = asyncio.create_task(relay.run())
        await asyncio.sleep(0.05 + 0.07 * lives)
        running.cancel()  # in the middle of whatever it does
        await asyncio.wait([running], timeout=10)
    await telling
    relay = Relay(engine, bootstrap, service="certificate-registry", clock=clock, prefix=prefix)
    running = asyncio.create_task(relay.run())
    await all_sent()
    await relay.stop()
    await running
    events = [Account.model_validate_json(record.value) for record in await all_of(f"{prefix}accounts")]
    for account in accounts:
        versions = [event.version for event in events if event.account_id == account]
        firsts = list(dict.fromkeys(versions))
        assert firsts == list(range(1, 41))
        assert versions[-1] == 40
    gc.collect()  # of the connection that aiokafka leaves behind when its start is cancelled, lest another test be told of it


async def test_two_relays_of_one_database_send_each_event_once(
    engine, bootstrap, sessions, prefix, clock, background, all_sent, all_of, an_account
):
    for _ in range(2):
        background(Relay(engine, bootstrap, service="certificate-registry", clock=clock, prefix=prefix).run())
    for version in range(1, 31):
        async with sessions.begin() as session:
            await put(session, an_account(version), at=NOW)
    await all_sent()
    versions = [Account.model_validate_json(record.value).version for record in await all_of(f"{prefix}accounts")]
    assert versions == list(range(1, 31))


async def test_what_was_committed_before_the_stop_is_sent(relay, sessions, background, unsent, an_account):
    running = background(relay.run())
    await asyncio.sleep(0.3)
    async with sessions.begin() as session:
        await put(session, *(an_account(version) for version in range(1, 700)), at=NOW)
    await relay.stop()
    await asyncio.wait_for(running, 10)
    assert await unsent() == 0


async def test_a_topic_that_is_missing_is_waited_for(engine, bootstrap, sessions, clock, background, unsent, an_account):
    relay = Relay(engine, bootstrap, service="certificate-registry", clock=clock, prefix=f"missing{uuid4().hex[:6]}.")
    running = background(relay.run())
    async with sessions.begin() as session:
        await put(session, an_account(), at=NOW)
    await asyncio.sleep(1)
    assert not running.done()
    assert await unsent() == 1


async def test_sent_events_are_kept_for_a_day(engine, bootstrap, sessions, prefix, background, all_sent, an_account, eventually):
    async with sessions.begin() as session:
        await put(session, an_account(1), an_account(2), at=NOW)
        await session.execute(update(OUTBOX).where(OUTBOX.c.id == 1).values(sent_at=NOW - timedelta(days=1, seconds=1)))
    relay = Relay(engine, bootstrap, service="certificate-registry", clock=lambda: NOW, prefix=prefix)
    background(relay.run())
    await all_sent()
    async with sessions() as session:
        assert (await session.execute(select(OUTBOX.c.id))).scalars().all() == [2]


async def test_an_event_too_large_for_the_bus_is_refused_before_it_is_written(sessions, an_account):
    huge = an_account().model_copy(update={"name": "x" * 1_000_000})
    async with sessions() as session:
        with pytest.raises(EventTooLarge):
            await put(session, huge, at=NOW)


async def test_the_migration_makes_the_table_that_the_metadata_describes(engine):
    async with engine.begin() as connection:
        await connection.run_sync(OUTBOX.drop)
        await connection.run_sync(lambda sync: create_outbox(Operations(MigrationContext.configure(sync))))
        indexes = await connection.run_sync(lambda sync: {index["name"] for index in inspect(sync).get_indexes("outbox")})
    assert indexes == {"ix_outbox_unsent", "ix_outbox_sent_at"}


@pytest.mark.filterwarnings("ignore:.*AIOKafkaConnection.*")  # given up in the middle of connecting, closed when collected
async def test_outages_of_the_broker_and_of_the_database_are_waited_out(
    engine, fresh_database, wire, sessions, prefix, clock, background, all_sent, all_of, an_account, monkeypatch
):
    monkeypatch.setattr("messaging.relay.SEND_S", 1.0)
    relay = Relay(engine, wire.address, service="certificate-registry", clock=clock, prefix=prefix)
    running = background(relay.run())
    async with sessions.begin() as session:
        await put(session, an_account(1), at=NOW)
    await all_sent()
    wire.freeze()
    async with sessions.begin() as session:
        await put(session, an_account(2), at=NOW)
    await asyncio.sleep(2)
    wire.cut()
    wire.thaw()
    await all_sent()
    other = open_engine(fresh_database)
    async with other.begin() as connection:
        ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        await connection.execute(text(f"{ended} AND pid <> pg_backend_pid()"))
    await other.dispose()
    async with sessions.begin() as session:
        await put(session, an_account(3), at=NOW)
    await all_sent()
    assert not running.done()
    versions = [Account.model_validate_json(record.value).version for record in await all_of(f"{prefix}accounts")]
    assert list(dict.fromkeys(versions)) == [1, 2, 3]


async def test_a_topic_that_was_re_made_is_told_to_again(
    relay, bootstrap, sessions, prefix, background, all_sent, all_of, an_account
):
    background(relay.run())
    async with sessions.begin() as session:
        await put(session, an_account(1), an_account(2), at=NOW)
    await all_sent()
    await delete_topics(bootstrap, f"{prefix}accounts")
    await asyncio.sleep(0.5)
    await create_topics(bootstrap, prefix, {"accounts"})
    async with sessions.begin() as session:
        await put(session, an_account(3), at=NOW)
    await all_sent()
    assert [Account.model_validate_json(record.value).version for record in await all_of(f"{prefix}accounts")] == [3]
