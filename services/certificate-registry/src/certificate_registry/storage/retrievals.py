"""What a contact may fetch: found by its link, its attempts counted before a password is compared, used once."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry import retrieval
from certificate_registry.storage.client_certificate_tables import ClientCertificateRow, RetrievalRow
from certificate_registry.storage.client_certificates import forget_file

AT_ONCE = 100


async def by_link(session: AsyncSession, digest: str, *, lock: bool = False) -> RetrievalRow | None:
    """The retrieval of this link."""
    statement = select(RetrievalRow).where(RetrievalRow.link_digest == digest)
    if lock:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    return (await session.scalars(statement)).one_or_none()


async def by_loss(session: AsyncSession, digest: str) -> ClientCertificateRow | None:
    """The certificate whose loss this token reports."""
    return (await session.scalars(select(ClientCertificateRow).where(ClientCertificateRow.loss_digest == digest))).one_or_none()


async def count_attempt(session: AsyncSession, certificate_id: UUID, now: datetime) -> tuple[str, int] | None:
    """Takes one attempt; the password's digest and the attempts left, or None where nothing may be compared any more."""
    taken = await session.execute(
        update(RetrievalRow)
        .where(
            RetrievalRow.client_certificate_id == certificate_id,
            RetrievalRow.attempts_left > 0,
            RetrievalRow.password_digest.is_not(None),
            RetrievalRow.password_until > now,
        )
        .values(attempts_left=RetrievalRow.attempts_left - 1)
        .returning(RetrievalRow.password_digest, RetrievalRow.attempts_left)
    )
    found = taken.one_or_none()
    return None if found is None else (str(found[0]), int(found[1]))


async def use_password(session: AsyncSession, certificate_id: UUID, digest: str, *, cookie: str, now: datetime) -> bool:
    """Uses the password up and admits the browser with this cookie (its digest). False where another was first.

    What another browser had of the file does not count for this one.
    """
    until = now + retrieval.SESSION_GOOD_FOR
    used = await session.execute(
        update(RetrievalRow)
        .where(RetrievalRow.client_certificate_id == certificate_id, RetrievalRow.password_digest == digest)
        .values(password_digest=None, session_digest=cookie, session_until=until, handed_out=0, forget_at=until)
        .returning(RetrievalRow.client_certificate_id)
    )
    return used.first() is not None


async def forget_unfinished(session: AsyncSession, now: datetime) -> int:
    """Destroys files whose time to be fetched is over; the order stays open. Answers how many."""
    rows = await session.scalars(
        select(RetrievalRow)
        .where(RetrievalRow.forget_at <= now)
        .order_by(RetrievalRow.client_certificate_id)
        .limit(AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    count = 0
    for row in rows.all():
        row.session_digest = row.session_until = None
        forget_file(row)
        count += 1
    return count
