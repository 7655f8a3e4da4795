"""What a record says, once it could be read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID, uuid5

from contracts import Told, UnreadableEvent, decode
from contracts.envelope import event_time, header
from contracts.topics import TYPES
from messaging.bodies import plainly


class Incoming(Protocol):
    """An aiokafka record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Heard:
    """One event, and what its record says about it."""

    event: Any  # one of the types listened for; None for a tombstone
    key: str  # the aggregate's id
    at: datetime  # ce_time: when its teller says it happened, aware
    event_id: UUID  # ce_id: the same when it is told again by the relay


_NAMELESS = UUID("9c2d4b1e-6f5a-4a43-9d3e-0c8f7a7b6e51")


def types_on(topic: str) -> Mapping[str, type[Told]]:
    """Every event type that travels on `topic`, by its `ce_type`."""
    return {name: kind for name, kind in TYPES.items() if kind.topic == topic}


def topic_of(types: Iterable[type[Told]]) -> str:
    """The one topic of `types`."""
    topics = {kind.topic for kind in types}
    if len(topics) != 1:
        raise ValueError(f"one topic at a time, not {sorted(topics)}")
    return topics.pop()


def read(record: Incoming, types: Mapping[str, type[Told]], *, plainly_if_so: bool = False) -> Heard:
    """The event of `record`. Raises UnreadableEvent; a tombstone is readable whatever its headers.

    With `plainly_if_so` the event is a struct with the fields of its class wherever that tells the same in less time.
    """
    key = (record.key or b"").decode("utf-8", "replace")
    event = _plain(record, types) if plainly_if_so else None
    if event is None:
        event = decode(record.value, record.headers, types)
    if event is None:
        return Heard(None, key, _tombstone_time(record), _event_id(record) or _place_id(record))
    if key != event.key:
        raise UnreadableEvent(f"{event.type}: the record's key is not the event's {event.key_field}")
    event_id = _event_id(record)
    if event_id is None:
        raise UnreadableEvent("header ce_id is no UUID")
    return Heard(event, key, event_time(record.headers), event_id)


def _plain(record: Incoming, types: Mapping[str, type[Told]]) -> Any:
    kind = types.get(header(record.headers, "ce_type") or "")
    return None if kind is None or record.value is None else plainly(kind)(record.value)


def _event_id(record: Incoming) -> UUID | None:
    try:
        return UUID(header(record.headers, "ce_id") or "")
    except ValueError:
        return None


def _place_id(record: Incoming) -> UUID:
    return uuid5(_NAMELESS, f"{record.topic}/{record.partition}/{record.offset}")


def _tombstone_time(record: Incoming) -> datetime:
    try:
        return event_time(record.headers)
    except UnreadableEvent:
        return datetime.fromtimestamp(record.timestamp / 1000, UTC)
