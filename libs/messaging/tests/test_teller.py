import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from aiokafka.partitioner import DefaultPartitioner

from contracts import SignatureApplied
from contracts.envelope import header, instant
from messaging import NotTold, Teller
from messaging.batches import Batches, partition_of
from messaging.producing import Producer, Record
from messaging.testing import create_topics, delete_topics

pytestmark = pytest.mark.integration
NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


@pytest.fixture
async def teller(bootstrap, prefix):
    teller = Teller(bootstrap, service="signing-gateway", prefix=prefix)
    await teller.start()
    yield teller
    await teller.stop()


async def test_it_returns_once_the_event_is_on_the_bus(teller, prefix, all_of, a_signature):
    await teller.tell(a_signature(5), at=NOW)
    (record,) = await all_of(f"{prefix}signatures")
    assert SignatureApplied.model_validate_json(record.value) == a_signature(5)
    assert record.key.decode() == str(a_signature().certificate_id)
    assert (header(record.headers, "ce_source"), instant(header(record.headers, "ce_time"))) == ("signing-gateway", NOW)


async def test_many_at_once_keep_the_order_of_each_key(teller, prefix, all_of, a_signature):
    certificates = [uuid4() for _ in range(3)]
    await asyncio.gather(
        *(teller.tell(a_signature(total, certificate), at=NOW) for total in range(1, 201) for certificate in certificates)
    )
    told = [SignatureApplied.model_validate_json(record.value) for record in await all_of(f"{prefix}signatures")]
    for certificate in certificates:
        assert [one.total for one in told if one.certificate_id == certificate] == list(range(1, 201))


def test_a_record_goes_where_kafkas_own_partitioner_puts_its_key():
    default = DefaultPartitioner()
    for key in (str(uuid4()).encode() for _ in range(200)):
        assert partition_of(key, 6) == default(key, list(range(6)), list(range(6)))


async def test_what_fits_no_single_batch_is_told_whole_and_in_order(bootstrap, prefix, all_of):
    producer = Producer(bootstrap, "test")
    batches = Batches(producer, within_s=20)
    key, padding = str(uuid4()).encode(), b"x" * 5_000
    numbers = range(120)  # 600 KB, batches take 262 KB
    await asyncio.gather(
        *(batches.sent(Record(f"{prefix}signatures", key, str(number).encode() + padding, [])) for number in numbers)
    )
    await batches.close()
    await producer.close()
    assert [int(record.value.removesuffix(padding)) for record in await all_of(f"{prefix}signatures")] == list(numbers)


async def test_who_waits_when_it_stops_is_not_told(wire, prefix, a_signature):
    teller = Teller(wire.address, service="signing-gateway", prefix=prefix)
    await teller.start()
    await teller.tell(a_signature(1), at=NOW)
    wire.freeze()
    waiting = [asyncio.create_task(teller.tell(a_signature(total), at=NOW)) for total in (2, 3)]
    await asyncio.sleep(0.2)
    waiting.append(asyncio.create_task(teller.tell(a_signature(4), at=NOW)))
    await asyncio.sleep(0)
    await teller.stop()
    for outcome in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(outcome, NotTold)


async def test_a_silent_broker_means_not_told_and_later_telling_works_again(wire, prefix, a_signature, all_of, persistently):
    teller = Teller(wire.address, service="signing-gateway", prefix=prefix, within_s=1.5)
    await teller.start()
    await teller.tell(a_signature(1), at=NOW)
    wire.freeze()
    async with asyncio.timeout(30):
        with pytest.raises(NotTold):
            await teller.tell(a_signature(2), at=NOW)
    wire.cut()
    wire.thaw()
    await persistently(lambda: teller.tell(a_signature(3), at=NOW))
    await teller.stop()
    told = [SignatureApplied.model_validate_json(record.value).total for record in await all_of(f"{prefix}signatures")]
    assert told[0] == 1
    assert told[-1] == 3


async def test_what_was_on_its_way_when_the_connection_broke_is_told_once(wire, prefix, a_signature, all_of):
    teller = Teller(wire.address, service="signing-gateway", prefix=prefix)
    await teller.start()
    await teller.tell(a_signature(1), at=NOW)
    wire.freeze()
    telling = asyncio.create_task(teller.tell(a_signature(2), at=NOW))
    await asyncio.sleep(0.2)
    wire.cut()
    wire.thaw()
    await telling
    await teller.tell(a_signature(3), at=NOW)
    await teller.stop()
    told = [SignatureApplied.model_validate_json(record.value).total for record in await all_of(f"{prefix}signatures")]
    assert told == [1, 2, 3]


async def test_a_broker_that_is_away_does_not_hinder_the_start(a_signature):
    teller = Teller("127.0.0.1:1", service="signing-gateway", within_s=1.5)
    await teller.start()
    with pytest.raises(NotTold):
        await teller.tell(a_signature(1), at=NOW)
    await teller.stop()


async def test_after_a_log_was_re_made_telling_heals_by_itself(teller, bootstrap, prefix, a_signature, all_of, persistently):
    for total in range(1, 4):
        await teller.tell(a_signature(total), at=NOW)
    await delete_topics(bootstrap, f"{prefix}signatures")
    await asyncio.sleep(0.5)
    await create_topics(bootstrap, prefix, {"signatures"})
    await persistently(lambda: teller.tell(a_signature(4), at=NOW))
    totals = {SignatureApplied.model_validate_json(record.value).total for record in await all_of(f"{prefix}signatures")}
    assert 4 in totals
