"""Client certificates under their locks: the service first, then the certificate, then what a contact may fetch of it."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry.client_certificate import Standing, WithdrawnBy
from certificate_registry.storage.audit_trail import record
from certificate_registry.storage.client_certificate_tables import ClientCertificateRow, RetrievalRow
from certificate_registry.storage.tables import ClientServiceRow
from certificate_registry.storage.told import tell

AT_ONCE = 100


def standing_of(row: ClientCertificateRow) -> Standing:
    """The row's standing, for the rules to judge."""
    return Standing(row.status, row.valid_until, row.warned_days)


def write_standing(row: ClientCertificateRow, standing: Standing) -> None:
    """What the rules decided, with when the calendar has to look again."""
    row.status, row.valid_until, row.warned_days = standing.status, standing.valid_until, standing.warned_days
    row.due_at = standing.due_at()


async def locked(session: AsyncSession, certificate_id: UUID) -> tuple[ClientServiceRow, ClientCertificateRow]:
    """The client service and its certificate, locked in this order."""
    row = await session.get_one(ClientCertificateRow, certificate_id)
    service = await session.get_one(ClientServiceRow, row.client_service_id, with_for_update=True, populate_existing=True)
    return service, await session.get_one(ClientCertificateRow, certificate_id, with_for_update=True, populate_existing=True)


async def tell_service(session: AsyncSession, service: ClientServiceRow, cause: str, now: datetime) -> None:
    """Tells the locked service with the certificates that identify it now: issued ones, several at once."""
    await session.flush()
    rows = await session.scalars(
        select(ClientCertificateRow)
        .where(ClientCertificateRow.client_service_id == service.id, ClientCertificateRow.status == "issued")
        .order_by(ClientCertificateRow.issued_at, ClientCertificateRow.id)
    )
    service.client_certificates = [{"sha256": row.sha256, "valid_until": _iso(row.valid_until)} for row in rows]
    await tell(session, service, cause, now)


def _iso(at: datetime | None) -> str:
    assert at is not None  # the table's own check: what is issued has an end
    return at.isoformat()


async def withdraw(
    session: AsyncSession,
    row: ClientCertificateRow,
    *,
    by: WithdrawnBy,
    actor: UUID | str,
    reason: str,
    now: datetime,
) -> bool:
    """Blocks the locked certificate or order; false where it was already.

    What a contact could still fetch is destroyed, and who the contact was is forgotten.
    """
    if row.status == "withdrawn":
        return False
    write_standing(row, standing_of(row).withdrawn())
    row.withdrawn_at, row.withdrawn_by, row.withdrawal_reason = now, by, reason
    row.contact_name = row.email = row.mobile = None
    retrieval = await session.get(RetrievalRow, row.id, with_for_update=True, populate_existing=True)
    if retrieval is not None:
        close(retrieval)
    record(
        session,
        "withdrawn" if by != "contact" else "loss-reported",
        actor=actor,
        kind="client-certificate",
        id=row.id,
        account_id=row.account_id,
        now=now,
        client_service_id=row.client_service_id,
    )
    return True


def close(retrieval: RetrievalRow) -> None:
    """Nothing can be fetched any more; the file, its password and the one-time password are forgotten."""
    retrieval.password_digest = retrieval.session_digest = retrieval.session_until = None
    retrieval.attempts_left = 0
    forget_file(retrieval)


def forget_file(retrieval: RetrievalRow) -> None:
    """The file and its password are destroyed; a new one can be made while the order is open."""
    retrieval.file = retrieval.file_size = retrieval.file_sha256 = retrieval.forget_at = None
    retrieval.handed_out = 0


async def withdraw_all_of(session: AsyncSession, service: ClientServiceRow, actor: UUID, now: datetime) -> None:
    """With a deleted service its certificates go. The service is locked; the caller tells it."""
    rows = await session.scalars(
        select(ClientCertificateRow)
        .where(ClientCertificateRow.client_service_id == service.id, ClientCertificateRow.status.in_(("ordered", "issued")))
        .order_by(ClientCertificateRow.id)
        .with_for_update()
    )
    for row in rows.all():
        await withdraw(session, row, by="deletion", actor=actor, reason="The client service was deleted.", now=now)
    service.client_certificates = []


async def due(session: AsyncSession, now: datetime) -> list[UUID]:
    """The ids of those that have a warning or their end due."""
    rows = await session.scalars(
        select(ClientCertificateRow.id)
        .where(ClientCertificateRow.due_at <= now)
        .order_by(ClientCertificateRow.due_at)
        .limit(AT_ONCE)
    )
    return list(rows)


BEGUN_WITHIN = timedelta(minutes=1)
"""After its link's end: a download that begins at the last moment is under way by then."""


async def forget_contacts(session: AsyncSession, now: datetime) -> int:
    """Forgets the contacts to whom nothing can be delivered any more; answers how many.

    That is when the certificate is over, or the link is and no file of it is under way.
    """
    undeliverable = select(RetrievalRow.client_certificate_id).where(
        RetrievalRow.link_until <= now - BEGUN_WITHIN, RetrievalRow.file.is_(None)
    )
    over = or_(
        ClientCertificateRow.status.in_(("withdrawn", "expired")),
        (ClientCertificateRow.status == "ordered") & ClientCertificateRow.id.in_(undeliverable),
    )
    forgotten = await session.execute(
        update(ClientCertificateRow)
        .where(ClientCertificateRow.email.is_not(None), ClientCertificateRow.status != "issued", over)
        .values(contact_name=None, email=None, mobile=None)
        .returning(ClientCertificateRow.id)
    )
    return len(forgotten.all())
