"""The transactional outbox: what a service tells is written in the transaction that changes its state; the relay sends it on.

The order of a key on the bus is the order of `put` under that aggregate's row lock. Nothing here reads a clock.
"""

from asyncio import Event
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import uuid4
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    DateTime,
    Engine,
    Index,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    bindparam,
    event,
    text,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from contracts import Told
from observability import traceparent

LARGEST_EVENT = 900_000
"""Bytes. The broker takes records of 1 MiB; a larger one would hold up all that is told after it."""

OUTBOX = Table(
    "outbox",
    MetaData(),
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("event_id", Uuid, nullable=False),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("body", LargeBinary, nullable=True),  # NULL: a tombstone
    Column("at", DateTime(timezone=True), nullable=False),  # the service's clock; becomes ce_time
    Column("traceparent", Text, nullable=True),
    Column("sent_at", DateTime(timezone=True), nullable=True),
)
Index("ix_outbox_unsent", OUTBOX.c.id, postgresql_where=OUTBOX.c.sent_at.is_(None))
Index("ix_outbox_sent_at", OUTBOX.c.sent_at, postgresql_where=OUTBOX.c.sent_at.is_not(None))

_TOLD = text(
    "INSERT INTO outbox (event_id, topic, key, type, body, at, traceparent)"
    " SELECT event_id, topic, key, type, body, :at, :traceparent"
    " FROM unnest(:event_id, :topic, :key, :type, :body) WITH ORDINALITY AS told (event_id, topic, key, type, body, place)"
    " ORDER BY place"
).bindparams(
    *(bindparam(name, type_=ARRAY(OUTBOX.c[name].type)) for name in ("event_id", "topic", "key", "type", "body")),
    *(bindparam(name, type_=OUTBOX.c[name].type) for name in ("at", "traceparent")),
)
"""All events of one `put`, in one statement: `id` rises in their order."""

_woken: WeakKeyDictionary[Engine, WeakSet[Event]] = WeakKeyDictionary()
"""The relays of this process, by database: a commit wakes them, so that nothing waits for the next look at the table."""


class EventTooLarge(ValueError):
    """An event larger than a record may be."""


def outbox(metadata: MetaData) -> Table:
    """Adds the table `outbox` to a service's metadata."""
    return OUTBOX.to_metadata(metadata)


def create_outbox(op: Any) -> None:
    """The migration step that creates the table; `op` is alembic's."""
    op.create_table("outbox", *(column._copy() for column in OUTBOX.columns))  # noqa: SLF001 - a column belongs to one table
    for index in OUTBOX.indexes:
        op.create_index(index.name, "outbox", [column.name for column in index.columns], **_where(index))


def _where(index: Index) -> dict[str, Any]:
    return {"postgresql_where": index.dialect_options["postgresql"]["where"]}


async def put(session: AsyncSession, *events: Told, at: datetime) -> None:
    """Tells `events` once the session's transaction commits. `at`: the service's clock, aware.

    Raises EventTooLarge before anything is written.
    """
    await _put(session, [(told.topic, told.key, told.type, told.model_dump_json().encode()) for told in events], at)


async def put_tombstone(session: AsyncSession, kind: type[Told], key: object, *, at: datetime) -> None:
    """Ends what a state topic holds of `key`, after a last state without personal data was told."""
    await _put(session, [(kind.topic, str(key), kind.type, None)], at)


async def retell(session: AsyncSession, events: Iterable[Told], at: datetime) -> int:
    """Tells states again from their owner's tables, for a topic that was lost; answers how many."""
    told = list(events)
    await put(session, *told, at=at)
    return len(told)


async def _put(session: AsyncSession, told: list[tuple[str, str, str, bytes | None]], at: datetime) -> None:
    if not told:
        return
    for _, key, kind, body in told:
        if body is not None and len(body) > LARGEST_EVENT:
            raise EventTooLarge(f"{kind} of {key} has {len(body)} bytes, more than {LARGEST_EVENT}")
    topics, keys, kinds, bodies = zip(*told, strict=True)
    columns = {"event_id": [uuid4() for _ in told], "topic": topics, "key": keys, "type": kinds, "body": bodies}
    await session.execute(_TOLD, columns | {"at": at, "traceparent": traceparent()})
    if "outbox" not in session.info:
        session.info["outbox"] = True
        event.listen(session.sync_session, "after_commit", _wake, once=True)


def _wake(session: Session) -> None:
    session.info.pop("outbox", None)
    for woken in _woken.get(session.get_bind().engine, ()):
        woken.set()


def wakes(engine: Engine, woken: Event) -> None:
    """From now on `woken` is set after every commit of this process that told something."""
    _woken.setdefault(engine, WeakSet()).add(woken)
