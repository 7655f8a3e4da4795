"""Orders accepted now and signed soon (CSC v2 §11.10, operationMode A). One gateway takes each, and none is signed twice.

Before the signing it is written who signs. When that process is gone, or lost track of it, nobody can know what it did, so the
order ends as one of unknown outcome; it is never tried again.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Select, func, insert, or_, select, update

from hosting.database import Sessions
from signing_gateway.refusals import OutcomeUnknown, RecordsAway, RequestUnknown, TooManyWaiting
from signing_gateway.storage import recording
from signing_gateway.storage.activations import given_back
from signing_gateway.storage.presence import Presence, gone
from signing_gateway.storage.tables import deferred_order

GIVEN_UP_AFTER = timedelta(minutes=2)  # far longer than one may be signed; a living process lost track of it
MOST_WAITING = 1000  # orders of one client service; of those that come in the same instant a few more may be accepted


@dataclass(frozen=True, slots=True)
class Deferred:
    """What is to be signed for whom. `hashes`: base64; `answer_kept`: how long its answer is wanted."""

    client_service_id: UUID
    certificate_id: UUID
    sign_algo: str
    hash_oid: str
    hashes: list[str]
    sad_digest: bytes | None
    answer_kept: timedelta


@dataclass(frozen=True, slots=True)
class Taken:
    """An order that this process signs, and nobody else."""

    response_id: UUID
    attempt: UUID
    accepted_at: datetime
    order: Deferred


@dataclass(frozen=True, slots=True)
class Decided:
    """What came of an order: an answer of HTTP."""

    status: int
    body: Mapping[str, Any]


class DeferredOrders:
    """The table of them."""

    def __init__(self, sessions: Sessions, presence: Presence) -> None:
        self._sessions, self._presence = sessions, presence
        self.arrived = asyncio.Event()
        """Set when this process accepted one; whoever takes orders need not wait for its next look."""

    async def accept(self, order: Deferred, *, now: datetime, host_now: datetime, kept_until: datetime) -> UUID:
        """The id to poll for. `kept_until`: when it is forgotten, if nobody decides it.

        Raises TooManyWaiting, RecordsAway, or OutcomeUnknown when the database went away before it said that the order is kept.
        """
        await self._presence.number()
        response_id = uuid4()
        row = {
            "response_id": response_id,
            "client_service_id": order.client_service_id,
            "order": {
                "certificate_id": str(order.certificate_id),
                "sign_algo": order.sign_algo,
                "hash_oid": order.hash_oid,
                "hashes": order.hashes,
                "answer_kept_ms": order.answer_kept // timedelta(milliseconds=1),
            },
            "sad_digest": order.sad_digest,
            "status": "waiting",
            "accepted_at": now,
            "not_before": host_now,
            "kept_until": kept_until,
        }
        try:
            async with recording(self._sessions) as session:
                if (await session.execute(_waiting(order.client_service_id, now))).scalar_one() >= MOST_WAITING:
                    raise TooManyWaiting(MOST_WAITING)
                await session.execute(insert(deferred_order).values(row))
        except RecordsAway as away:
            raise OutcomeUnknown("It is not known whether the request was accepted.") from away
        self.arrived.set()
        return response_id

    async def take(self, now: datetime, host_now: datetime) -> Taken | None:
        """The order that has been due for longest, now ours. Raises RecordsAway."""
        holder, attempt = await self._presence.number(), uuid4()
        due = (
            select(deferred_order.c.response_id)
            .where(
                deferred_order.c.status == "waiting",
                deferred_order.c.kept_until > now,
                deferred_order.c.not_before <= host_now,
            )
            .order_by(deferred_order.c.not_before, deferred_order.c.accepted_at)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        statement = (
            update(deferred_order)
            .where(deferred_order.c.response_id == due)
            .values(status="signing", holder=holder, attempt=attempt, begun_at=host_now)
            .returning(*deferred_order.c)
        )
        async with recording(self._sessions) as session:
            row = (await session.execute(statement)).first()
        if row is None:
            return None
        told = row.order
        order = Deferred(
            row.client_service_id,
            UUID(told["certificate_id"]),
            told["sign_algo"],
            told["hash_oid"],
            told["hashes"],
            row.sad_digest,
            timedelta(milliseconds=told["answer_kept_ms"]),
        )
        return Taken(row.response_id, attempt, row.accepted_at, order)

    async def put_back(self, taken: Taken, *, not_before: datetime) -> bool:
        """Nothing was signed, and it may be tried again, from `not_before` on. False and raises as `decide`."""
        waiting = {"status": "waiting", "holder": None, "attempt": None, "begun_at": None, "not_before": not_before}
        return await self._leave(taken, waiting)

    async def decide(self, taken: Taken, decided: Decided, now: datetime, *, refused: bool = False) -> bool:
        """Keeps what came of it; what was certainly `refused` is given back to its SAD with it.

        False when it is ours no more: somebody else decided, since we seemed gone, or an earlier call did, of which we did not
        hear. Raises RecordsAway; then it may have been done, and may be called again.
        """
        return await self._leave(taken, {"kept_until": now + taken.order.answer_kept, **_answered(decided)}, refused=refused)

    async def _leave(self, taken: Taken, values: dict[str, Any], *, refused: bool = False) -> bool:
        ours = _held(deferred_order.c.response_id == taken.response_id, deferred_order.c.attempt == taken.attempt)
        statement = update(deferred_order).where(*ours).values(**values).returning(deferred_order.c.response_id)
        async with recording(self._sessions) as session:
            if (await session.execute(statement)).first() is None:
                return False
            if refused and taken.order.sad_digest:
                await session.execute(given_back(taken.order.sad_digest, len(taken.order.hashes)))
        return True

    async def bury(self, decided: Decided, host_now: datetime) -> int:
        """Decides what a process was signing that is gone or lost track of it; how many orders that were. Raises RecordsAway."""
        lost = or_(gone(deferred_order.c.holder), deferred_order.c.begun_at < host_now - GIVEN_UP_AFTER)
        statement = (
            update(deferred_order).where(*_held(lost)).values(**_answered(decided)).returning(deferred_order.c.response_id)
        )
        async with recording(self._sessions) as session:
            return len((await session.execute(statement)).all())

    async def poll(self, client_service_id: UUID, response_id: UUID, now: datetime) -> Decided | None:
        """What came of it; None while it waits. Raises RequestUnknown, also for another client service's, and RecordsAway."""
        statement = select(deferred_order).where(
            deferred_order.c.response_id == response_id,
            deferred_order.c.client_service_id == client_service_id,
            deferred_order.c.kept_until > now,
        )
        async with recording(self._sessions) as session:
            row = (await session.execute(statement)).first()
        if row is None:
            raise RequestUnknown
        return Decided(row.answer_status, json.loads(row.answer)) if row.status == "decided" else None


def _waiting(client_service_id: UUID, now: datetime) -> Select[int]:
    """SQL: how many orders of a client service wait."""
    theirs = deferred_order.c.client_service_id == client_service_id
    waits = theirs & (deferred_order.c.status == "waiting") & (deferred_order.c.kept_until > now)
    return select(func.count()).select_from(deferred_order).where(waits)


def _held(*conditions: ColumnElement[bool]) -> tuple[ColumnElement[bool], ...]:
    return (deferred_order.c.status == "signing", *conditions)


def _answered(decided: Decided) -> dict[str, Any]:
    return {
        "status": "decided",
        "holder": None,
        "attempt": None,
        "begun_at": None,
        "order": None,
        "answer": json.dumps(dict(decided.body)).encode(),
        "answer_status": decided.status,
    }
