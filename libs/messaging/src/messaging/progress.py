"""How far a consumer came in each of its partitions: lag, and the alarm when the log is shorter than what we read of it."""

import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.structs import TopicPartition
from prometheus_client import Counter, Gauge

from messaging.ear import Done
from messaging.records import Incoming
from observability import get_logger

log = get_logger(__name__)

LAG = Gauge("kafka_consumer_lag", "Records told and not yet handled", ["topic", "partition"])
ASSIGNED = Gauge("kafka_consumer_assigned_partitions", "Partitions this process reads in its group")
REBALANCES = Counter("kafka_consumer_rebalances_total", "Times the partitions of the group were dealt anew")
REWOUND = Counter(
    "kafka_log_rewound_total", "Partitions whose log ended before what was read of it: it was lost or re-made", ["topic"]
)

ASK_S = 5.0
SHORTER_FOR = 3
"""Asks in a row that must agree before we go back: a new leader may tell an old end for a moment."""


class Progress(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka is untyped
    """Kept for one consumer; told of each deal of partitions by aiokafka."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.next: Done = {}
        self._had: Done = {}  # before the last deal: of use only where nothing is committed any more
        self._shorter: dict[TopicPartition, int] = {}

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """What was read counts no more: reading begins again at what is committed."""
        for partition in revoked:
            LAG.labels(*self._labels(partition)).set(0)
        self._had.update(self.next)
        self.next.clear()
        self._shorter.clear()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """A new deal."""
        REBALANCES.inc()
        ASSIGNED.set(len(list(assigned)))
        self.next.clear()

    async def received(self, consumer: AIOKafkaConsumer, records: Iterable[Incoming]) -> None:
        """Notices records that come before those already read: aiokafka has gone back to the earliest by itself."""
        seen = set()
        for record in records:
            partition = TopicPartition(record.topic, record.partition)
            if partition in seen:
                continue
            seen.add(partition)
            expected = self.next.get(partition)
            if expected is None and partition in consumer.assignment():
                expected = await self._before(consumer, partition)
            if expected is not None and record.offset < expected:
                self._alarm(partition, expected, record.offset)
            self.next[partition] = record.offset

    async def ask(self, consumer: AIOKafkaConsumer) -> None:
        """Asks the broker for the logs' ends. Raises when it does not answer."""
        assigned = consumer.assignment()
        if not assigned:
            await asyncio.wait_for(consumer.topics(), ASK_S)
            return
        ends: dict[TopicPartition, int] = await asyncio.wait_for(consumer.end_offsets(assigned), ASK_S)
        for partition, end in ends.items():
            reached = self.next.get(partition)
            if reached is None:
                reached = self.next.setdefault(partition, await self._before(consumer, partition) or 0)
            LAG.labels(*self._labels(partition)).set(max(0, end - reached))
            self._shorter[partition] = self._shorter.get(partition, 0) + 1 if end < reached else 0
            if self._shorter[partition] == SHORTER_FOR and partition in consumer.assignment():
                self._alarm(partition, reached, end)
                self.next[partition] = 0
                await asyncio.wait_for(consumer.seek_to_beginning(partition), ASK_S)

    async def _before(self, consumer: AIOKafkaConsumer, partition: TopicPartition) -> int | None:
        committed: int | None = await asyncio.wait_for(consumer.committed(partition), ASK_S)
        return self._had.get(partition) if committed is None else committed

    def _alarm(self, partition: TopicPartition, expected: int, found: int) -> None:
        REWOUND.labels(partition.topic.removeprefix(self._prefix)).inc()
        log.error("a log was lost or re-made and is read from its beginning", **self._facts(partition), had=expected, found=found)

    def _facts(self, partition: TopicPartition) -> dict[str, Any]:
        return {"topic": partition.topic, "partition": partition.partition}

    def _labels(self, partition: TopicPartition) -> tuple[str, str]:
        return partition.topic.removeprefix(self._prefix), str(partition.partition)
