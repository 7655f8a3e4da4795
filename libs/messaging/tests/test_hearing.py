import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition
from opentelemetry import trace

from contracts import Account, CaAccessGranted, CaAccessWithdrawn, SignatureApplied
from messaging import Hearing
from messaging.hearing import NotHearing

pytestmark = pytest.mark.integration
NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
SERVICE = "notifier"


@pytest.fixture
def committed(bootstrap, prefix):
    """How many records of a topic the group has behind it."""

    async def count(topic: str, group: str = SERVICE) -> int:
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=prefix + group, enable_auto_commit=False)
        partitions = [TopicPartition(prefix + topic, number) for number in range(3)]
        consumer.assign(partitions)
        await consumer.start()
        try:
            return sum([await consumer.committed(partition) or 0 for partition in partitions])
        finally:
            await consumer.stop()

    return count


async def test_events_are_heard_in_order_with_what_their_records_say(
    hearing, publish, background, an_account, eventually, committed
):
    heard = []

    @hearing.hears(Account)
    async def on_account(one):
        heard.append(one)

    event_id = uuid4()
    for version in range(1, 21):
        await publish(an_account(version), event_id=event_id)
    running = background(hearing.run())
    await eventually(lambda: len(heard) == 20)
    assert [one.event.version for one in heard] == list(range(1, 21))
    assert (heard[0].key, heard[0].at, heard[0].event_id) == (str(an_account().account_id), NOW, str(event_id))
    await hearing.healthy()
    await hearing.stop()
    await asyncio.wait_for(running, 10)
    assert await committed("accounts") == 20


async def test_what_is_told_bit_by_bit_is_heard_together_where_that_is_asked_for(
    bootstrap, prefix, publish, background, a_signature, eventually
):
    hearing, batches = Hearing(bootstrap, service=SERVICE, prefix=prefix, gathers_ms=2_000), []

    @hearing.hears_batch(SignatureApplied)
    async def on_signatures(batch):
        batches.append([one.event.total for one in batch])

    running = background(hearing.run())
    await publish(a_signature(1))
    await eventually(lambda: batches)
    for total in range(2, 32):
        await publish(a_signature(total))
    await eventually(lambda: batches[-1][-1] == 31)
    assert [total for batch in batches for total in batch] == list(range(1, 32))
    assert len(batches) < 20
    await hearing.stop()
    await asyncio.wait_for(running, 10)


async def test_a_batch_is_no_larger_than_is_asked_for(bootstrap, prefix, publish, background, a_signature, eventually):
    hearing, batches = Hearing(bootstrap, service=SERVICE, prefix=prefix, batch=3), []

    @hearing.hears_batch(SignatureApplied)
    async def on_signatures(batch):
        batches.append([one.event.total for one in batch])

    for total in range(1, 11):
        await publish(a_signature(total))
    running = background(hearing.run())
    await eventually(lambda: batches and batches[-1][-1] == 10)
    assert [total for batch in batches for total in batch] == list(range(1, 11))
    assert max(map(len, batches)) == 3
    await hearing.stop()
    await asyncio.wait_for(running, 10)


async def test_an_event_that_is_heard_plainly_says_the_same_and_an_unreadable_one_is_buried(
    hearing, publish, producer, prefix, background, a_signature, eventually, all_of
):
    heard = []

    @hearing.hears_batch(SignatureApplied, plainly=True)
    async def on_signatures(batch):
        heard.extend(batch)

    told = a_signature(7)
    await publish(told.model_copy(update={"total": 0}))
    await publish(told)
    running = background(hearing.run())
    await eventually(lambda: heard)
    await hearing.stop()
    await asyncio.wait_for(running, 10)
    [one] = heard
    assert {name: getattr(one.event, name) for name in SignatureApplied.model_fields} == told.model_dump()
    assert (one.event.type, one.key) == (told.type, told.key)
    [letter] = await all_of(f"{prefix}dead-letters.{SERVICE}")
    assert ("dl_reason", b"signature-applied.v1: total: greater_than_equal") in letter.headers


async def test_a_handler_that_fails_is_called_again_and_nothing_is_committed_meanwhile(
    hearing, publish, background, an_account, a_signature, eventually, committed
):
    tried, heard, beside = [], [], []
    database_is_down = True

    @hearing.hears(Account)
    async def on_account(one):
        tried.append(one.event.version)
        if database_is_down and one.event.version == 3:
            raise OSError("the database is down")
        heard.append(one.event.version)

    @hearing.hears_batch(SignatureApplied)
    async def on_signatures(batch):
        beside.extend(one.event.total for one in batch)

    for version in range(1, 6):
        await publish(an_account(version))
    running = background(hearing.run())
    await eventually(lambda: tried.count(3) >= 3)
    with pytest.raises(NotHearing, match="accounts"):
        await hearing.healthy()
    assert await committed("accounts") == 2
    await publish(a_signature(1))
    await eventually(lambda: beside == [1])
    assert heard == [1, 2]
    database_is_down = False
    await eventually(lambda: heard[-1] == 5)
    assert heard == [1, 2, 3, 4, 5]
    await hearing.healthy()
    await hearing.stop()
    await asyncio.wait_for(running, 10)
    assert await committed("accounts") == 5


async def test_a_batch_that_fails_comes_again_as_a_whole(hearing, publish, background, a_signature, eventually):
    calls = []

    @hearing.hears_batch(SignatureApplied)
    async def on_signatures(batch):
        calls.append([one.event.total for one in batch])
        if len(calls) < 3:
            raise OSError("the database is down")

    for total in range(1, 11):
        await publish(a_signature(total))
    background(hearing.run())
    await eventually(lambda: len(calls) >= 3 and calls[-1][-1] == 10)
    assert calls[0] == calls[1][: len(calls[0])]
    assert [total for call in calls[2:] for total in call] == list(range(1, 11))


async def test_a_crash_before_the_commit_repeats_and_loses_nothing(
    bootstrap, prefix, publish, background, an_account, eventually
):
    first, second = [], []
    dying, heir = (Hearing(bootstrap, service=SERVICE, prefix=prefix) for _ in range(2))

    @dying.hears(Account)
    async def dies_after(one):
        first.append(one.event.version)
        await asyncio.Event().wait()  # the process never comes back from here

    @heir.hears(Account)
    async def inherits(one):
        second.append(one.event.version)

    await publish(an_account(1))
    await publish(an_account(2))
    running = background(dying.run())
    await eventually(lambda: first)
    running.cancel()
    background(heir.run())
    await eventually(lambda: len(second) == 2)
    assert (first, second) == ([1], [1, 2])


async def test_a_second_member_that_joins_in_the_middle_of_a_batch_loses_nothing(
    bootstrap, prefix, publish, background, a_signature, eventually
):
    heard: dict[UUID, set[int]] = {}
    slowly = asyncio.Event()

    def member() -> Hearing:
        hearing = Hearing(bootstrap, service=SERVICE, prefix=prefix)

        @hearing.hears_batch(SignatureApplied)
        async def on_signatures(batch):
            slowly.set()
            await asyncio.sleep(0.2)
            for one in batch:
                heard.setdefault(one.event.certificate_id, set()).add(one.event.total)

        return hearing

    certificates = [uuid4() for _ in range(12)]
    background(member().run())

    async def tell():
        for total in range(1, 51):
            await asyncio.gather(*(publish(a_signature(total, certificate)) for certificate in certificates))

    telling = asyncio.create_task(tell())
    await asyncio.wait_for(slowly.wait(), 20)
    background(member().run())
    await telling
    await eventually(lambda: sum(map(len, heard.values())) == 600)
    assert heard == {certificate: set(range(1, 51)) for certificate in certificates}


async def test_the_handler_runs_in_the_trace_of_the_teller(hearing, publish, background, an_account, eventually):
    traces = []

    @hearing.hears(Account)
    async def on_account(_one):
        traces.append(trace.get_current_span().get_span_context().trace_id)

    await publish(an_account(), traceparent=f"00-{0xABC:032x}-{0xDEF:016x}-01")
    background(hearing.run())
    await eventually(lambda: traces)
    assert traces == [0xABC]


async def test_one_topic_is_heard_in_one_place(hearing):
    hearing.hears(CaAccessGranted)(print)
    with pytest.raises(ValueError, match="ca-access"):
        hearing.hears(CaAccessWithdrawn)
    with pytest.raises(ValueError, match="one topic"):
        hearing.hears(Account, SignatureApplied)
