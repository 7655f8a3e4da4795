"""Requests with an Idempotency-Key: one attempt at a time for each client service and key, one answer for good."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from hosting.database import Sessions
from signing_gateway.refusals import KeyReused, KeyUnderWay
from signing_gateway.storage import recording
from signing_gateway.storage.presence import Presence, gone
from signing_gateway.storage.tables import keyed_request

LONGEST_ATTEMPT = timedelta(minutes=5)
"""More than any takes: of signDoc, 90 s before and 90 s after its signatures, and the certificate authority's time between."""


@dataclass(frozen=True, slots=True)
class Keyed:
    """What was asked for under which key. `fingerprint`: SHA-256 of it."""

    client_service_id: UUID
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class Attempt:
    """Ours alone, as long as this process is there."""

    id: UUID
    asked: Keyed


class KeyedRequests:
    """The table of them."""

    def __init__(self, sessions: Sessions, presence: Presence) -> None:
        self._sessions, self._presence = sessions, presence

    async def begin(self, asked: Keyed, *, now: datetime, kept_until: datetime, host_now: datetime) -> Attempt | bytes:
        """An attempt to make, or the answer that was given.

        One statement decides, so that of two gateways one begins. An attempt may be made when there was none, when the last one
        ended without an answer, and when whoever made it is gone: then nobody knows its outcome.

        Raises KeyReused for another request under the key, KeyUnderWay while somebody attempts it, RecordsAway.
        """
        attempt = uuid4()
        fresh = {
            "fingerprint": asked.fingerprint,
            "attempt": attempt,
            "holder": await self._presence.number(),
            "begun_at": host_now,
            "answer": None,
            "kept_until": kept_until,
        }
        nobody = or_(
            keyed_request.c.attempt.is_(None),
            keyed_request.c.begun_at < host_now - LONGEST_ATTEMPT,
            gone(keyed_request.c.holder),
        )
        unanswered = and_(keyed_request.c.fingerprint == asked.fingerprint, keyed_request.c.answer.is_(None), nobody)
        statement = (
            insert(keyed_request)
            .values(client_service_id=asked.client_service_id, idempotency_key=asked.key, **fresh)
            .on_conflict_do_update(
                index_elements=[keyed_request.c.client_service_id, keyed_request.c.idempotency_key],
                set_=fresh,
                where=or_(keyed_request.c.kept_until <= now, unanswered),
            )
            .returning(keyed_request.c.attempt)
        )
        async with recording(self._sessions) as session:
            if (await session.execute(statement)).first():
                return Attempt(attempt, asked)
            row = select(keyed_request.c.fingerprint, keyed_request.c.answer).where(_is(asked))
            known = (await session.execute(row)).first()
        if known and known.fingerprint != asked.fingerprint:
            raise KeyReused
        if known is None or known.answer is None:
            raise KeyUnderWay
        return bytes(known.answer)

    async def answered(self, attempt: Attempt, answer: bytes) -> bool:
        """Keeps the answer; False when another attempt has taken the place of this one."""
        return await self._ended(attempt, answer)

    async def unanswered(self, attempt: Attempt) -> None:
        """There is nothing to repeat: the next request under the key is attempted anew."""
        await self._ended(attempt, None)

    async def _ended(self, attempt: Attempt, answer: bytes | None) -> bool:
        statement = (
            update(keyed_request)
            .where(_is(attempt.asked), keyed_request.c.attempt == attempt.id)
            .values(attempt=None, holder=None, begun_at=None, answer=answer)
            .returning(keyed_request.c.idempotency_key)
        )
        async with recording(self._sessions) as session:
            return (await session.execute(statement)).first() is not None


def _is(asked: Keyed) -> ColumnElement[bool]:
    return and_(keyed_request.c.client_service_id == asked.client_service_id, keyed_request.c.idempotency_key == asked.key)
