"""Client services under their locks: suspension after an expiry, and what hangs on a certificate."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry.client_service import Standing
from certificate_registry.storage.audit_trail import record
from certificate_registry.storage.tables import ClientServiceRow
from certificate_registry.storage.told import tell


def standing_of(row: ClientServiceRow) -> Standing:
    """The row's standing, for the rules to judge."""
    return Standing(row.status, row.reason, row.activated_for_epoch)  # type: ignore[arg-type] # the table's own checks say the words


def write_standing(row: ClientServiceRow, standing: Standing) -> None:
    """What the rules decided."""
    row.status, row.reason, row.activated_for_epoch = standing.status, standing.reason, standing.activated_for_epoch


async def suspend_activated_before(session: AsyncSession, certificate_id: UUID, last_expired_epoch: int, now: datetime) -> int:
    """Suspends the certificate's services that were activated for an epoch that is over; answers how many."""
    rows = await session.scalars(
        select(ClientServiceRow)
        .where(
            ClientServiceRow.certificate_id == certificate_id,
            ClientServiceRow.status == "active",
            ClientServiceRow.activated_for_epoch <= last_expired_epoch,
        )
        .order_by(ClientServiceRow.id)
        .with_for_update()
    )
    count = 0
    for row in rows.all():
        write_standing(row, standing_of(row).suspended(last_expired_epoch))
        await tell(session, row, "suspended", now)
        record(
            session,
            "suspended",
            actor="certificate-registry",
            kind="client-service",
            id=row.id,
            account_id=row.account_id,
            now=now,
            epoch=last_expired_epoch,
        )
        count += 1
    return count


async def of_certificates(session: AsyncSession, certificate_ids: list[UUID]) -> list[ClientServiceRow]:
    """The services of these certificates that are not deleted, locked in order of their ids."""
    rows = await session.scalars(
        select(ClientServiceRow)
        .where(ClientServiceRow.certificate_id.in_(certificate_ids), ClientServiceRow.status != "deleted")
        .order_by(ClientServiceRow.id)
        .with_for_update()
    )
    return list(rows)
