"""Walks as rows. What is secret of a walk under way is sealed in `hidden` and forgotten at its end."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from ca_connector.sealing import SealBroken, Sealer
from ca_connector.storage.access import queue_revocation
from ca_connector.storage.tables import WALK
from ca_connector.walk import (
    ANSWERS_COUNT_FOR,
    EXCHANGE_LIFE,
    MAX_ANSWERS,
    OPEN,
    WALK_LIFE,
    AuthorisationUnknown,
    Ended,
    Status,
    timed_out,
)
from contracts.ca_connector import Authorisation, Begin, OfferedCredential

Hidden = dict[str, Any]
"""state, verifier, url; once at the CA: access, access_ends, refresh."""


@dataclass
class Walk:
    """A walk as it stands, with what is hidden opened."""

    row: sa.Row[Any]
    hidden: Hidden = field(repr=False)

    @property
    def status(self) -> Status:
        """Where it stands."""
        status: Status = self.row.status
        return status

    def shown(self) -> Authorisation:
        """As the API tells it."""
        row, waiting = self.row, self.row.status == "awaiting-ca"
        asking = row.status == "awaiting-authorisation"
        return Authorisation(
            id=row.id,
            kind=row.kind,
            certificate_id=row.certificate_id,
            status=row.status,
            reason=row.reason,
            authorization_url=self.hidden.get("url") if waiting else None,
            state=self.hidden.get("state") if waiting else None,
            offered=[OfferedCredential.model_validate(each) for each in row.offered],
            asks=row.asks if asking else [],
            answer_by=row.answer_by if asking else None,
            attempts_left=MAX_ANSWERS - row.answers if asking else None,
            **(row.outcome or {}),
        )


async def begin(session: AsyncSession, asked: Begin, base_epoch: int, now: datetime) -> bool:
    """Whether the walk is new; one of the same id stays as it is."""
    values: dict[str, Any] = {
        "id": asked.id,
        "kind": asked.kind,
        "certificate_id": asked.certificate_id,
        "certificate_authority_id": asked.certificate_authority_id,
        "operator_id": asked.operator_id,
        "status": "awaiting-ca",
        "base_epoch": base_epoch,
        "begun_at": now,
        "offered": [],
        "asks": [],
        "answers": 0,
        "challenges": 0,
    }
    made = await session.execute(insert(WALK).values(values).on_conflict_do_nothing().returning(WALK.c.id))
    return made.one_or_none() is not None


async def load(session: AsyncSession, walk_id: UUID, sealer: Sealer, *, lock: bool = False) -> Walk:
    """Raises AuthorisationUnknown."""
    asked = sa.select(WALK).where(WALK.c.id == walk_id)
    row = (await session.execute(asked.with_for_update() if lock else asked)).one_or_none()
    if row is None:
        raise AuthorisationUnknown("no such authorisation")
    hidden = json.loads(sealer.open(row.hidden, "authorisation", row.id)) if row.hidden else {}
    return Walk(row, hidden)


async def change(session: AsyncSession, walk_id: UUID, **values: Any) -> None:
    """Sets columns of a walk."""
    await session.execute(sa.update(WALK).where(WALK.c.id == walk_id).values(**values))


async def hide(session: AsyncSession, walk_id: UUID, hidden: Hidden, sealer: Sealer) -> None:
    """Keeps what is secret of a walk under way."""
    sealed = sealer.seal(json.dumps(hidden).encode(), "authorisation", walk_id)
    await change(session, walk_id, hidden=sealed)


async def hide_departure(session: AsyncSession, walk_id: UUID, hidden: Hidden, sealer: Sealer) -> None:
    """Keeps where a walk leaves to, unless it has left already: of two who begin it at once, both leave the same way."""
    sealed = sealer.seal(json.dumps(hidden).encode(), "authorisation", walk_id)
    fresh = (WALK.c.id == walk_id, WALK.c.hidden.is_(None), WALK.c.status == "awaiting-ca")
    await session.execute(sa.update(WALK).where(*fresh).values(hidden=sealed))


async def answers_for(session: AsyncSession, row: sa.Row[Any], credential_id: str, now: datetime) -> int:
    """Codes tried for a credential over all walks since one ended well, so that a new walk brings no new attempts (control 30).

    Holds a lock on the credential until the transaction ends: of many answers at once each is counted.
    """
    key = f"{row.certificate_authority_id}|{credential_id}"
    await session.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(key, 0))))
    same = (WALK.c.certificate_authority_id == row.certificate_authority_id, WALK.c.credential_id == credential_id)
    right = sa.select(sa.func.max(WALK.c.begun_at)).where(*same, WALK.c.status == "completed").scalar_subquery()
    since = sa.func.coalesce(sa.func.greatest(right, now - ANSWERS_COUNT_FOR), now - ANSWERS_COUNT_FOR)
    wrong = sa.select(sa.func.max(WALK.c.answers)).where(*same, WALK.c.status != "completed", WALK.c.begun_at >= since)
    own: int = row.answers
    return max(await session.scalar(wrong) or 0, own)


async def end(session: AsyncSession, walk_id: UUID, ended: Ended, sealer: Sealer, now: datetime) -> None:
    """The walk is over without a grant; its secrets are forgotten, and tokens it brought home are revoked at the CA."""
    try:
        walk = await load(session, walk_id, sealer, lock=True)
    except SealBroken:  # nothing to revoke can be read; the walk ends all the same
        pass
    else:
        if walk.status in OPEN and walk.hidden.get("refresh"):
            await queue_revocation(session, walk.row.certificate_authority_id, walk.hidden["refresh"], now, sealer)
    values: dict[str, Any] = {
        "status": ended.status,
        "reason": ended.reason,
        "hidden": None,
        "exchanging_since": None,
        "answer_by": None,
    }
    await session.execute(sa.update(WALK).where(WALK.c.id == walk_id, WALK.c.status.in_(OPEN)).values(values))


async def end_overdue(session: AsyncSession, sealer: Sealer, now: datetime) -> int:
    """Ends walks that stayed away too long or were cut; how many."""
    late = sa.or_(WALK.c.begun_at < now - WALK_LIFE, WALK.c.exchanging_since < now - EXCHANGE_LIFE)
    asked = sa.select(WALK).where(WALK.c.status.in_(OPEN), late).limit(100).with_for_update(skip_locked=True)
    count = 0
    for row in await session.execute(asked):
        ended = timed_out(row.status, now=now, begun_at=row.begun_at, exchanging_since=row.exchanging_since)
        if ended is not None:
            await end(session, row.id, ended, sealer, now)
            count += 1
    return count


async def answer_window(session: AsyncSession, walk_id: UUID, now: datetime, life: timedelta) -> None:
    """A new code was sent: it may be answered from now on."""
    asking = (WALK.c.id == walk_id, WALK.c.status.in_(OPEN))
    await session.execute(sa.update(WALK).where(*asking).values(answer_by=now + life, reason=None))


async def count_challenge(session: AsyncSession, walk_id: UUID, most: int) -> bool:
    """Whether one more code may be sent; counted before it is."""
    left = (WALK.c.id == walk_id, WALK.c.challenges < most)
    counted = sa.update(WALK).where(*left).values(challenges=WALK.c.challenges + 1).returning(WALK.c.id)
    return (await session.execute(counted)).one_or_none() is not None


async def note_refused(session: AsyncSession, walk_id: UUID, reason: str) -> None:
    """Why the last answer was refused, while another may be given."""
    asking = (WALK.c.id == walk_id, WALK.c.status == "awaiting-authorisation")
    await session.execute(sa.update(WALK).where(*asking).values(reason=reason))
