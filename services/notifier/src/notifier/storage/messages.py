"""Personal messages: queued once per id, sealed while they wait, without a body once they are decided."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from notifier.storage.tables import message


def this_message(message_id: UUID) -> ColumnElement[bool]:
    """The row of one message."""
    return message.c.id == message_id


async def queue(
    session: AsyncSession, message_id: UUID, channel: Literal["email", "sms"], sealed: bytes, host_now: datetime
) -> str:
    """Queues the message unless one of this id is known; answers the status of the one that is kept."""
    await session.execute(
        insert(message)
        .values(
            id=message_id,
            channel=channel,
            sealed=sealed,
            status="due",
            attempts=0,
            due_since=host_now,
            next_attempt_at=host_now,
        )
        .on_conflict_do_nothing()
    )
    status: str = (await session.execute(select(message.c.status).where(this_message(message_id)))).scalar_one()
    return status
