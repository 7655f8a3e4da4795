"""The CloudEvents 1.0 Kafka binding in binary mode: what an event is on the wire.

Body: the JSON of one pydantic class. Headers: `ce_specversion`, `ce_id`, `ce_type`, `ce_source`, `ce_time`, `content-type`,
and W3C `traceparent` where a trace is under way. Key: the id of the aggregate, so that everything said of it stays in order.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import ClassVar, Protocol, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError


class Message(BaseModel):
    """A body of an internal HTTP call. Callers and answerers are deployed apart, so unknown fields are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Told(Message):
    """An event: what one service tells and any may hear. Published types only gain optional fields; a break is a new `.v2`."""

    topic: ClassVar[str]
    type: ClassVar[str]
    key_field: ClassVar[str]

    @property
    def key(self) -> str:
        """The aggregate's id, which is the record's key."""
        return str(getattr(self, self.key_field))

    def body(self) -> bytes:
        """The record's value."""
        return self.model_dump_json().encode()


class Tellable(Protocol):
    """What can be told: a `Told`, or what a service that tells very many puts on the wire in its place."""

    @property
    def topic(self) -> str:
        """The topic's name, without a prefix."""
        ...

    @property
    def type(self) -> str:
        """`ce_type`."""
        ...

    @property
    def key(self) -> str:
        """The aggregate's id."""
        ...

    def body(self) -> bytes:
        """The record's value: byte for byte what the `Told` of that type would be."""
        ...


class UnreadableEvent(ValueError):
    """A record that cannot be read: it goes to the dead letters with this reason. Carries no input."""


Headers = list[tuple[str, bytes]]
TTold = TypeVar("TTold", bound=Told)


def encode(
    event: Tellable, *, event_id: UUID | str, source: str, at: datetime, traceparent: str | None = None
) -> tuple[bytes, Headers]:
    """The value and the headers of `event`'s record. `at` is the service's clock, aware; Kafka's own record time stays real."""
    headers = headers_of(event.type, event_id=event_id, source=source, at=at, traceparent=traceparent)
    return event.body(), headers


def headers_of(kind: str, *, event_id: UUID | str, source: str, at: datetime, traceparent: str | None = None) -> Headers:
    """The headers of a record of type `kind`, a tombstone's too."""
    moment = at if at.tzinfo is UTC else at.astimezone(UTC)
    headers = [
        *_constant(kind, source),
        ("ce_id", str(event_id).encode()),
        ("ce_time", b"%sZ" % moment.isoformat()[:-6].encode()),
    ]
    if traceparent:
        headers.append(("traceparent", traceparent.encode()))
    return headers


@lru_cache(maxsize=1_000)
def _constant(kind: str, source: str) -> Sequence[tuple[str, bytes]]:
    """The headers that are the same in every record of a type."""
    return (
        ("ce_specversion", b"1.0"),
        ("ce_type", kind.encode()),
        ("ce_source", source.encode()),
        ("content-type", b"application/json"),
    )


def header(headers: Iterable[tuple[str, bytes]], name: str) -> str | None:
    """The first header of that name as text, or None."""
    for key, value in headers:  # no generator expression: every record is asked several times
        if key == name and value is not None:
            return value.decode("utf-8", "replace")
    return None


def decode(value: bytes | None, headers: Iterable[tuple[str, bytes]], types: Mapping[str, type[TTold]]) -> TTold | None:
    """The event of a record; None for a tombstone.

    Raises UnreadableEvent when the type is none of `types`, or the body is not what the type says; the reason names the
    field and the rule, never the input.
    """
    if value is None:
        return None
    told = header(headers, "ce_type")
    if told is None:
        raise UnreadableEvent("header ce_type is missing")
    if told not in types:
        raise UnreadableEvent(f"ce_type {told[:100]!r} is not one of {', '.join(sorted(types))}")
    try:
        return types[told].model_validate_json(value)
    except ValidationError as refusal:
        faults = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['type']}"
            for e in refusal.errors(include_input=False, include_url=False)[:5]
        )
        raise UnreadableEvent(f"{told}: {faults}") from None


def instant(ce_time: str) -> datetime:
    """What a header `ce_time` says: when it happened, by the teller's clock. Raises UnreadableEvent where it is no instant."""
    try:
        at = datetime.fromisoformat(ce_time)
    except ValueError:
        raise UnreadableEvent("header ce_time is not an RFC 3339 instant") from None
    if at.tzinfo is None:
        raise UnreadableEvent("header ce_time has no time zone")
    return at


__all__ = [
    "AwareDatetime",
    "Headers",
    "Message",
    "Tellable",
    "Told",
    "UnreadableEvent",
    "decode",
    "encode",
    "header",
    "headers_of",
    "instant",
]
