"""One consumer that follows whole topics, and proves again and again that it is current."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from messaging.records import Incoming
from observability import get_logger

log = get_logger(__name__)

POLL_MS = 100
MOST_RECORDS = 500
START_S = 20.0
ASK_EVERY_S = 1.0
ASK_S = 5.0
SHORTER_FOR = 3
"""Asks in a row that must find a log shorter than what was read: a new leader may tell an old end for a moment."""


def boottime() -> float:
    """Seconds since boot, suspended time included: what an age is measured by."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Following:
    """One consumer's life: the records of `partitions` to `applied`, from the beginning, some of one partition at a time.

    `confirmed` is called with the boot time at which the broker was asked for ends that are applied by now. After an outage
    the last record read of each partition is read again: where it is another one, the log was re-made and is read anew.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        partitions: Sequence[TopicPartition],
        applied: Callable[[Sequence[Incoming]], Awaitable[None]],
        confirmed: Callable[[float], None],
    ) -> None:
        self._consumer, self._partitions, self._applied, self._confirmed = consumer, partitions, applied, confirmed
        self._last: dict[TopicPartition, tuple[int, int]] = {}  # offset and timestamp of the last record applied
        self._proving: dict[TopicPartition, tuple[int, int]] = {}  # those to be met again
        self._shorter: dict[TopicPartition, int] = {}
        self._applying = False
        self._outages = 0

    async def run(self) -> None:
        """Until the consumer fails, with what it failed with."""
        self._consumer.assign(self._partitions)
        tasks: list[asyncio.Task[None]] = []
        try:
            await asyncio.wait_for(self._consumer.start(), START_S)
            await self._consumer.seek_to_beginning(*self._partitions)
            tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._ask())]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            try:
                await asyncio.wait_for(self._consumer.stop(), ASK_S)
            except (KafkaError, TimeoutError) as fault:
                log.warning("a consumer did not stop", reason=type(fault).__name__)

    async def _read(self) -> None:
        while True:
            fetched = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=MOST_RECORDS)
            self._applying, outages = True, self._outages
            for partition, records in fetched.items():
                if outages != self._outages:
                    break  # fetched before the outage: what follows is read again from the last record on
                if await self._proven(partition, records[0]):
                    await self._applied(records)
                    self._last[partition] = records[-1].offset, records[-1].timestamp
            self._applying = False
            await asyncio.sleep(0)

    async def _ask(self) -> None:
        """Once a second: what is applied reaches the ends that the broker had when asked, so it was current at that instant."""
        while True:
            asked = boottime()
            try:
                ends: dict[TopicPartition, int] = await asyncio.wait_for(self._consumer.end_offsets(self._partitions), ASK_S)
            except (KafkaError, TimeoutError) as fault:
                self._prove()
                log.info("the broker does not tell the state topics' ends", reason=type(fault).__name__)
            else:
                if await self._reached(ends):
                    self._confirmed(asked)
            await asyncio.sleep(max(asked + ASK_EVERY_S - boottime(), ASK_EVERY_S / 20))

    async def _reached(self, ends: dict[TopicPartition, int]) -> bool:
        """Whether all before `ends` is applied; waits a while for what is missing."""
        for partition, end in ends.items():
            last, _ = self._last.get(partition, (-1, 0))
            self._shorter[partition] = self._shorter.get(partition, 0) + 1 if end <= last else 0
            if self._shorter[partition] >= SHORTER_FOR:
                await self._begin_again(partition)
        if any(self._shorter.values()):
            return False
        for _ in range(20):
            if await self._all_before(ends):
                return True
            await asyncio.sleep(ASK_EVERY_S / 20)
        return False

    async def _all_before(self, ends: dict[TopicPartition, int]) -> bool:
        for partition, end in ends.items():
            position = await asyncio.wait_for(self._consumer.position(partition), ASK_S)
            if self._applying or position < end:
                return False
            if partition in self._proving:  # all was read and the last record was not among it
                await self._begin_again(partition)
                return False
        return True

    def _prove(self) -> None:
        """In an outage nothing is taken that does not follow the last record, not even the first that is read after it."""
        self._outages += 1
        for partition, last in self._last.items():
            self._proving[partition] = last
            self._consumer.seek(partition, last[0])

    async def _proven(self, partition: TopicPartition, record: Incoming) -> bool:
        expected = self._proving.pop(partition, None)
        if expected in (None, (record.offset, record.timestamp)):
            return True
        await self._begin_again(partition)
        return False

    async def _begin_again(self, partition: TopicPartition) -> None:
        log.error("a state topic was lost or re-made and is read again", topic=partition.topic, partition=partition.partition)
        self._last.pop(partition, None)
        self._proving.pop(partition, None)
        self._shorter.pop(partition, None)
        await self._consumer.seek_to_beginning(partition)
