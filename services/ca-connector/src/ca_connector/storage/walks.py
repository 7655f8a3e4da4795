"""Walks as rows. What is secret of a walk under way is sealed in `hidden` and forgotten at its end."""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from ca_connector.sealing import Sealer
from ca_connector.storage.tables import WALK
from ca_connector.walk import EXCHANGE_LIFE, MAX_ANSWERS, OPEN, WALK_LIFE, AuthorisationUnknown, Ended, Status, timed_out
from contracts.ca_connector import Authorisation, Begin, OfferedCredential

Hidden = dict[str, Any]
"""state, verifier, url; once at the CA: access, access_ends, refresh."""


@dataclass
class Walk:
    """A walk as it stands, with what is hidden opened."""

    row: sa.Row[Any]
    hidden: Hidden

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


async def end(session: AsyncSession, walk_id: UUID, ended: Ended) -> None:
    """The walk is over without a grant; its secrets are forgotten."""
    values: dict[str, Any] = {
        "status": ended.status,
        "reason": ended.reason,
        "hidden": None,
        "exchanging_since": None,
        "answer_by": None,
    }
    await session.execute(sa.update(WALK).where(WALK.c.id == walk_id, WALK.c.status.in_(OPEN)).values(values))


async def end_overdue(session: AsyncSession, now: datetime) -> int:
    """Ends walks that stayed away too long or were cut; how many."""
    late = sa.or_(WALK.c.begun_at < now - WALK_LIFE, WALK.c.exchanging_since < now - EXCHANGE_LIFE)
    asked = sa.select(WALK).where(WALK.c.status.in_(OPEN), late).limit(100).with_for_update(skip_locked=True)
    count = 0
    for row in await session.execute(asked):
        ended = timed_out(row.status, now=now, begun_at=row.begun_at, exchanging_since=row.exchanging_since)
        if ended is not None:
            await end(session, row.id, ended)
            count += 1
    return count


async def answer_window(session: AsyncSession, walk_id: UUID, now: datetime, life: timedelta) -> None:
    """A new code was sent: it may be answered from now on."""
    await change(session, walk_id, answer_by=now + life, challenges=WALK.c.challenges + 1, reason=None)
