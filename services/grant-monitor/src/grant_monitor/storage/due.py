"""What the patrol looks for: grants by their next due instant, blocks past their validity, counts not yet told."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from grant_monitor.allowance import SWEPT_AFTER
from grant_monitor.grant import TOLD_EVERY, Epoch, Grant
from grant_monitor.storage.rows import epoch_of, grant_of
from grant_monitor.storage.tables import ACCESS_GRANT, ALLOWANCE, GRANT_EPOCH, OPEN
from grant_monitor.storage.usage import BATCH

KEPT = timedelta(days=40)  # closed blocks: longer than `signatures` are, so that a replay finds every block it tells of


def _is_due(now: datetime) -> ColumnElement[bool]:
    return ACCESS_GRANT.c.next_due_at <= now


def _is_counted(host_now: datetime) -> ColumnElement[bool]:
    quiet = or_(ACCESS_GRANT.c.told_at.is_(None), ACCESS_GRANT.c.told_at <= host_now - TOLD_EVERY)
    return and_(ACCESS_GRANT.c.to_tell, quiet)


def _is_overdue(host_now: datetime) -> ColumnElement[bool]:
    return and_(OPEN, ALLOWANCE.c.not_after < host_now - SWEPT_AFTER)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Which kinds of work a round has; what another transaction holds just now is among it."""

    blocks: bool
    due: bool


_FIRST_END = select(func.min(ALLOWANCE.c.not_after)).where(OPEN).scalar_subquery()
_FIRST_DUE = select(func.min(ACCESS_GRANT.c.next_due_at)).scalar_subquery()
_FIRST = select(_FIRST_END, _FIRST_DUE)


async def what_waits(session: AsyncSession, *, now: datetime, host_now: datetime) -> Waiting:
    """One statement, two looks into indexes: most rounds find nothing.

    The earliest instant is asked for, not whether one exists: for that the planner would rather read the whole table.
    """
    end, due = (await session.execute(_FIRST)).one()
    return Waiting(blocks=end is not None and end < host_now - SWEPT_AFTER, due=due is not None and due <= now)


async def grants_due(session: AsyncSession, now: datetime) -> list[Grant]:
    """Grants that have something due by the clock, the longest overdue first."""
    return await _free(session, _is_due(now), "next_due_at")


async def grants_to_tell(session: AsyncSession, at_most: int, host_now: datetime) -> list[Grant]:
    """Grants that were counted on and not told within 2 s, those told longest ago first."""
    return await _free(session, _is_counted(host_now), "told_at", at_most)


async def _free(session: AsyncSession, which: ColumnElement[bool], first: str, at_most: int = BATCH) -> list[Grant]:
    """Those of them that no other transaction holds, locked: two patrols at once share the work."""
    query = select(ACCESS_GRANT).where(which).order_by(ACCESS_GRANT.c[first]).limit(at_most)
    return [grant_of(row) for row in await session.execute(query.with_for_update(skip_locked=True))]


async def grants_with_overdue_blocks(session: AsyncSession, host_now: datetime) -> Collection[UUID]:
    """Certificates that have an open block past its validity."""
    query = select(ALLOWANCE.c.certificate_id).where(_is_overdue(host_now)).order_by(ALLOWANCE.c.not_after).limit(BATCH)
    return set(await session.scalars(query))


async def grants_after(session: AsyncSession, after: UUID) -> Collection[UUID]:
    """The next 500 certificates by id that have a grant."""
    query = select(ACCESS_GRANT.c.certificate_id).where(ACCESS_GRANT.c.certificate_id > after)
    return list(await session.scalars(query.order_by(ACCESS_GRANT.c.certificate_id).limit(BATCH)))


async def purge_blocks(session: AsyncSession, host_now: datetime) -> None:
    """Closed blocks that nothing can tell of any more are removed; the count they made stays in their epoch."""
    old = (
        select(ALLOWANCE.c.allowance_id)
        .where(ALLOWANCE.c.state.in_(("settled", "forfeited")), ALLOWANCE.c.not_after < host_now - KEPT)
        .limit(BATCH * 10)
    )
    await session.execute(delete(ALLOWANCE).where(ALLOWANCE.c.allowance_id.in_(old)))


async def nearest_epochs(session: AsyncSession) -> list[Epoch]:
    """The current epochs of the 500 grants whose next due instant is nearest."""
    nearest = select(ACCESS_GRANT.c.certificate_id, ACCESS_GRANT.c.epoch).where(ACCESS_GRANT.c.next_due_at.is_not(None))
    chosen = nearest.order_by(ACCESS_GRANT.c.next_due_at).limit(BATCH).subquery()
    same = (GRANT_EPOCH.c.certificate_id == chosen.c.certificate_id) & (GRANT_EPOCH.c.epoch == chosen.c.epoch)
    return [epoch_of(row) for row in await session.execute(select(GRANT_EPOCH).join(chosen, same))]


async def open_blocks(session: AsyncSession) -> int:
    """How many blocks gateways hold."""
    return int(await session.scalar(select(func.count()).where(OPEN)) or 0)
