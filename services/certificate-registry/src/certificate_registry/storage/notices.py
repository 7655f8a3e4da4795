"""What became of the mails: one row per notice and operator, whatever is heard twice."""

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry.storage.tables import NoticeRow
from contracts import NoticeFailed, NoticeSent


async def keep(session: AsyncSession, event: NoticeSent | NoticeFailed) -> None:
    """Keeps the outcome once."""
    told = event.model_dump(
        include={"notice_id", "operator_id", "account_id", "kind", "local_date", "certificate_ids", "message_id"}
    )
    if isinstance(event, NoticeSent):
        outcome = {"status": "sent", "at": event.sent_at, "reason": None}
    else:
        outcome = {"status": "failed", "at": event.failed_at, "reason": event.reason}
    await session.execute(insert(NoticeRow).values(**told, **outcome).on_conflict_do_nothing())
