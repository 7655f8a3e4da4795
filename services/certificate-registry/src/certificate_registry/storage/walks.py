"""Walks to a CA: the one-use ticket, the state that comes back once, and those whose outcome is still open."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry.storage.tables import CertificateRow, WalkRow


async def by_ticket(session: AsyncSession, digest: str) -> WalkRow | None:
    """The walk this ticket was made for, used or not."""
    return (await session.scalars(select(WalkRow).where(WalkRow.ticket_digest == digest))).one_or_none()


async def by_state(session: AsyncSession, digest: str) -> WalkRow | None:
    """The walk whose browser is at the CA with this state."""
    return (await session.scalars(select(WalkRow).where(WalkRow.state_digest == digest))).one_or_none()


async def use_ticket(session: AsyncSession, walk_id: UUID, *, state: str, cookie: str, now: datetime) -> bool:
    """Uses the ticket up and binds the walk to the browser (digests of state and cookie). False if another was first."""
    used = await session.execute(
        update(WalkRow)
        .where(WalkRow.id == walk_id, WalkRow.ticket_used_at.is_(None), WalkRow.ticket_until > now, WalkRow.ended_at.is_(None))
        .values(ticket_used_at=now, state_digest=state, cookie_digest=cookie)
        .returning(WalkRow.id)
    )
    return used.first() is not None


async def use_state(session: AsyncSession, walk_id: UUID, state: str, now: datetime) -> bool:
    """Uses state and cookie up. False if another callback was first."""
    used = await session.execute(
        update(WalkRow)
        .where(WalkRow.id == walk_id, WalkRow.state_digest == state)
        .values(state_digest=None, cookie_digest=None, state_used_at=now)
        .returning(WalkRow.id)
    )
    return used.first() is not None


async def to_settle(session: AsyncSession, now: datetime, older_than: timedelta, limit: int = 100) -> list[WalkRow]:
    """Open walks begun before `now - older_than`, those asked after longest ago first."""
    rows = await session.scalars(
        select(WalkRow)
        .where(WalkRow.ended_at.is_(None), WalkRow.begun_at < now - older_than)
        .order_by(WalkRow.checked_at)
        .limit(limit)
    )
    return list(rows)


async def locked(session: AsyncSession, walk_id: UUID) -> tuple[CertificateRow, WalkRow]:
    """The certificate and the walk, locked in this order."""
    walk = await session.get_one(WalkRow, walk_id)
    certificate = await session.get_one(CertificateRow, walk.certificate_id, with_for_update=True, populate_existing=True)
    return certificate, await session.get_one(WalkRow, walk_id, with_for_update=True, populate_existing=True)
