"""Tells that are under way at once share batches: what comes while a batch is on its way to the broker goes with the next.

Nothing waits for a timer, so a single tell is as quick as the broker; under load a record costs a share of a request.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

from messaging.produce import produced
from messaging.producing import BATCH_BYTES, RETRY_S, Producer, Record

Waiter = asyncio.Future[None]
Share = list[tuple[Record, Waiter]]


class Batch(NamedTuple):
    """Records of one partition as the broker keeps them, and who waits for them."""

    built: bytearray
    waiters: list[Waiter]


Queues = dict[TopicPartition, deque[Batch]]
"""What each partition has yet to get, in its order."""


class Batches:
    """Sends records through `producer`, acknowledged, those of one key in order, each within `within_s`."""

    def __init__(self, producer: Producer, *, within_s: float) -> None:
        self._producer = producer
        self._flush_s = within_s / 2  # one batch that is on its way may have to end first
        self._next: Share = []
        self._flushing: asyncio.Task[None] | None = None

    def sent(self, record: Record) -> Waiter:
        """Done when the record is acknowledged. Raises TimeoutError, OSError or a KafkaError; it may have arrived even so."""
        waiter: Waiter = asyncio.get_running_loop().create_future()
        self._next.append((record, waiter))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush_all())
        return waiter

    async def close(self) -> None:
        """Whoever still waits gets a KafkaError."""
        if self._flushing is not None:
            self._flushing.cancel()
            with suppress(asyncio.CancelledError):
                await self._flushing

    async def _flush_all(self) -> None:
        try:
            while self._next:
                share, self._next = self._next, []
                await self._flush(share)
        finally:
            self._flushing = None
            for _, waiter in self._next:
                _fail(waiter, KafkaError("the producer is closed"))
            self._next = []

    async def _flush(self, share: Share) -> None:
        fault: BaseException = KafkaError("the producer is closed")
        producer: AIOKafkaProducer | None = None
        try:
            async with asyncio.timeout(self._flush_s):
                producer = await self._producer.current()
                await _acknowledged(producer, share)
        except BaseException as failed:
            if producer is not None:  # it has numbered what may never have come
                self._producer.discard(producer)
            if not isinstance(failed, KafkaError | OSError | TimeoutError):
                raise
            fault = failed
        finally:
            for _, waiter in share:
                _fail(waiter, fault)


async def _acknowledged(producer: AIOKafkaProducer, share: Share) -> None:
    """Returns when all are, each partition's batches one after the other. Raises what trying again would not mend."""
    queues = await _queues(producer, share)

    def taken(partition: TopicPartition) -> None:
        for waiter in queues[partition].popleft().waiters:
            if not waiter.done():  # whose future is done waits no longer
                waiter.set_result(None)
        if not queues[partition]:
            del queues[partition]

    while queues:
        heads = {partition: queue[0].built for partition, queue in queues.items()}
        faults = await produced(producer.client, heads, taken)
        for fault in faults.values():
            if not fault.retriable:
                raise fault
        if faults:
            await asyncio.sleep(RETRY_S)
            await producer.client.force_metadata_update()


async def _queues(producer: AIOKafkaProducer, share: Share) -> Queues:
    counts = {topic: len(await producer.partitions_for(topic)) for topic in {record.topic for record, _ in share}}
    by_partition: defaultdict[TopicPartition, Share] = defaultdict(list)
    for each in share:
        record = each[0]
        by_partition[TopicPartition(record.topic, partition_of(record.key, counts[record.topic]))].append(each)
    numbers: TransactionManager = producer._txn_manager  # noqa: SLF001 - the id that the broker knows this producer by, and what it sent under it
    await numbers.wait_for_pid()
    return {partition: deque(_built(partition, records, numbers)) for partition, records in by_partition.items()}


def _built(partition: TopicPartition, records: Share, numbers: TransactionManager) -> Iterator[Batch]:
    """As few batches as the records fit in."""
    start = 0
    while start < len(records):
        number = numbers.sequence_number(partition)
        builder = DefaultRecordBatchBuilder(2, 0, 0, numbers.producer_id, numbers.producer_epoch, number, BATCH_BYTES)
        count = _filled(builder, records[start:])
        numbers.increment_sequence_number(partition, count)
        yield Batch(builder.build(), [waiter for _, waiter in records[start : start + count]])
        start += count


def _filled(builder: DefaultRecordBatchBuilder, records: Share) -> int:
    """How many of these a batch takes: one at least."""
    for place, (record, _) in enumerate(records):
        if builder.append(place, None, record.key, record.value, record.headers) is None:
            return place
    return len(records)


@lru_cache(maxsize=65_536)
def partition_of(key: bytes | None, count: int) -> int:
    """Where Kafka's default partitioner puts a key; remembered, since it is computed in Python."""
    return int(murmur2(key or b"") & 0x7FFFFFFF) % count


def _fail(waiter: Waiter, fault: BaseException) -> None:
    """Whose future is done has had an answer, or waits no longer."""
    if not waiter.done():
        waiter.set_exception(fault if isinstance(fault, Exception) else KafkaError("the producer is closed"))
