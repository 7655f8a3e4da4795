"""What a record says, once it could be read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from contracts import Told, UnreadableEvent, decode
from contracts.envelope import instant
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
    event_id: str  # ce_id: the same when it is told again by the relay
    traceparent: str = ""  # of its teller


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
    said = {name: told for name, told in reversed(record.headers) if told is not None}  # of one said twice the first counts
    key = (record.key or b"").decode("utf-8", "replace")
    event_id = _text(said.get("ce_id"))
    event = _plain(record.value, _text(said.get("ce_type")), types) if plainly_if_so else None
    if event is None:
        event = decode(record.value, record.headers, types)
    if event is None:
        return Heard(None, key, _tombstone_time(record, said), event_id or _place(record), _text(said.get("traceparent")))
    if key != event.key:
        raise UnreadableEvent(f"{event.type}: the record's key is not the event's {event.key_field}")
    if not event_id:
        raise UnreadableEvent("header ce_id is missing")
    return Heard(event, key, instant(_text(said.get("ce_time"))), event_id, _text(said.get("traceparent")))


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "replace")


def _plain(value: bytes | None, ce_type: str, types: Mapping[str, type[Told]]) -> Any:
    kind = types.get(ce_type)
    return None if kind is None or value is None else plainly(kind)(value)


def _place(record: Incoming) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"


def _tombstone_time(record: Incoming, said: Mapping[str, bytes]) -> datetime:
    try:
        return instant(_text(said.get("ce_time")))
    except UnreadableEvent:
        return datetime.fromtimestamp(record.timestamp / 1000, UTC)
