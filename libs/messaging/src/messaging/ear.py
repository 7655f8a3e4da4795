"""What is done with the records of one topic: read, handed to the handler, or put to the dead letters."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.structs import TopicPartition
from prometheus_client import Counter, Histogram

from contracts import Told, UnreadableEvent
from messaging.records import Heard, Incoming, read, types_on
from messaging.tracing import hearing_many, hearing_one

HEARD = Counter("events_heard_total", "Events handled, by outcome", ["topic", "outcome"])
HANDLING = Histogram("event_handling_seconds", "Seconds a handler took, for one event or for a batch", ["topic"])

Bury = Callable[[Incoming, str], Awaitable[None]]
Done = dict[TopicPartition, int]
"""The next offset to read of each partition: all before it are handled."""


@dataclass
class Ear:
    """One topic's handler, and how it fares."""

    topic: str
    listens_for: tuple[type[Told], ...]
    handler: Callable[[Any], Awaitable[None]]
    in_batches: bool
    tombstones: bool
    plainly: bool = False
    failures: int = 0  # in a row
    trouble: str | None = None  # what the handler failed with last, while it does
    types: Mapping[str, type[Told]] = field(init=False)
    _names: set[str] = field(init=False)

    def __post_init__(self) -> None:
        """All types of the topic can be read, so that one nobody listens for is passed over and is no dead letter."""
        self.types = types_on(self.topic)
        self._names = {kind.type for kind in self.listens_for}

    async def take(self, records: Sequence[Incoming], done: Done, bury: Bury) -> None:
        """Handles `records`, noting in `done` how far it came. Raises what the handler raised: the rest is to be read again."""
        if self.in_batches:
            await self._all_at_once(records, bury)
            last = {record.partition: record for record in records}
            done.update({_partition(record): record.offset + 1 for record in last.values()})
            return
        for record in records:
            try:
                heard = read(record, self.types)
            except UnreadableEvent as refusal:
                await self._buried(record, str(refusal), bury)
            else:
                if self._wanted(heard):
                    await self._one(record, heard, bury)
            done[_partition(record)] = record.offset + 1

    async def _all_at_once(self, records: Sequence[Incoming], bury: Bury) -> None:
        """What cannot be read is buried last, so that a batch that has to come again does not bury it twice.

        What the handler refuses may be: the database may go away between two halves of its batch.
        """
        readable: list[tuple[Incoming, Heard]] = []
        unreadable: list[tuple[Incoming, str]] = []
        for record in records:
            try:
                heard = read(record, self.types, plainly_if_so=self.plainly)
            except UnreadableEvent as refusal:
                unreadable.append((record, str(refusal)))
            else:
                if self._wanted(heard):
                    readable.append((record, heard))
        if readable:
            await self._batch(readable, bury)
        for record, reason in unreadable:
            await self._buried(record, reason, bury)

    def _wanted(self, heard: Heard) -> bool:
        return self.tombstones if heard.event is None else heard.event.type in self._names

    async def _one(self, record: Incoming, heard: Heard, bury: Bury) -> None:
        with hearing_one(self.topic, list(record.headers)), HANDLING.labels(self.topic).time():
            try:
                await self.handler(heard)
            except UnreadableEvent as refusal:
                await self._buried(record, str(refusal), bury)
                return
        HEARD.labels(self.topic, "handled").inc()

    async def _batch(self, readable: list[tuple[Incoming, Heard]], bury: Bury) -> None:
        """All in one call; when one of them is refused as unreadable, each half by itself, until it is found."""
        with hearing_many(self.topic, (heard.traceparent for _, heard in readable)), HANDLING.labels(self.topic).time():
            try:
                await self.handler([heard for _, heard in readable])
            except UnreadableEvent as refusal:
                if len(readable) == 1:
                    await self._buried(readable[0][0], str(refusal), bury)
                    return
            else:
                HEARD.labels(self.topic, "handled").inc(len(readable))
                return
        half = len(readable) // 2
        await self._batch(readable[:half], bury)
        await self._batch(readable[half:], bury)

    async def _buried(self, record: Incoming, reason: str, bury: Bury) -> None:
        await bury(record, reason)
        HEARD.labels(self.topic, "unreadable").inc()


def _partition(record: Incoming) -> TopicPartition:
    return TopicPartition(record.topic, record.partition)
