"""Mails and SMS for the notifier: written in the transaction that decides them, sealed, gone once the notifier has them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry.storage.client_certificate_tables import PersonalMessageRow
from observability import traceparent

AT_ONCE = 20


async def put(
    session: AsyncSession, message_id: UUID, sealed: bytes, *, host_now: datetime, useless_from: datetime | None
) -> None:
    """Queues one, once per id."""
    row = {
        "id": message_id,
        "sealed": sealed,
        "attempts": 0,
        "next_attempt_at": host_now,
        "useless_from": useless_from,
        "traceparent": traceparent(),
    }
    await session.execute(insert(PersonalMessageRow).values(**row).on_conflict_do_nothing())


async def due(session: AsyncSession, host_now: datetime) -> list[PersonalMessageRow]:
    """Those to be tried now, locked, without those that another instance is trying."""
    rows = await session.scalars(
        select(PersonalMessageRow)
        .where(PersonalMessageRow.next_attempt_at <= host_now)
        .order_by(PersonalMessageRow.next_attempt_at)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    return list(rows)


async def drop_useless(session: AsyncSession, now: datetime) -> list[UUID]:
    """Destroys those that would say what holds no more."""
    useless = PersonalMessageRow.useless_from <= now
    gone = await session.scalars(delete(PersonalMessageRow).where(useless).returning(PersonalMessageRow.id))
    return list(gone)
