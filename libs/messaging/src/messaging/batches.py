"""Tells that are under way at once share batches: what comes while a batch is on its way to the broker goes with the next.

Nothing waits for a timer, so a single tell is as quick as the broker; under load a record costs a share of a request.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder

from messaging.producing import Producer, Record

Waiter = asyncio.Future[None]
Share = list[tuple[Record, Waiter]]


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
                await asyncio.gather(*[sent async for sent in _sent(producer, share)])
        except (KafkaError, OSError, TimeoutError) as failed:
            fault = failed
            if producer is not None:
                self._producer.discard(producer)
        finally:
            for _, waiter in share:
                _fail(waiter, fault)


async def _sent(producer: AIOKafkaProducer, share: Share) -> AsyncIterator[asyncio.Future[object]]:
    """Puts each partition's records into as few batches as they fit in, and each batch on its way."""
    by_partition: dict[tuple[str, int], Share] = defaultdict(list)
    counts = {topic: len(await producer.partitions_for(topic)) for topic in {record.topic for record, _ in share}}
    for each in share:
        topic, key = each[0].topic, each[0].key
        by_partition[topic, partition_of(key, counts[topic])].append(each)
    for (topic, partition), records in by_partition.items():
        for batch, waiters in _filled(producer, records):
            acknowledged = await producer.send_batch(batch, topic, partition=partition)
            acknowledged.add_done_callback(lambda done, waiters=waiters: _answer(done, waiters))
            yield acknowledged


def _filled(producer: AIOKafkaProducer, records: Share) -> Iterator[tuple[BatchBuilder, list[Waiter]]]:
    batch: BatchBuilder = producer.create_batch()
    waiters: list[Waiter] = []
    for record, waiter in records:
        if not _append(batch, record):
            yield batch, waiters
            batch, waiters = producer.create_batch(), []
            _append(batch, record)  # an empty one takes any
        waiters.append(waiter)
    batch.close()  # an open one would linger
    yield batch, waiters


def _append(batch: BatchBuilder, record: Record) -> bool:
    return batch.append(timestamp=None, key=record.key, value=record.value, headers=record.headers) is not None


@lru_cache(maxsize=65_536)
def partition_of(key: bytes | None, count: int) -> int:
    """Where Kafka's default partitioner puts a key; remembered, since it is computed in Python."""
    return int(murmur2(key or b"") & 0x7FFFFFFF) % count


def _answer(done: "asyncio.Future[object]", waiters: Sequence[Waiter]) -> None:
    fault = asyncio.CancelledError() if done.cancelled() else done.exception()
    for waiter in waiters:
        if fault is not None:
            _fail(waiter, fault)
        elif not waiter.done():
            waiter.set_result(None)


def _fail(waiter: Waiter, fault: BaseException) -> None:
    """Whose future is done has had an answer, or waits no longer."""
    if not waiter.done():
        waiter.set_exception(fault if isinstance(fault, Exception) else KafkaError("the producer is closed"))
