"""Client services under their locks: suspension after an expiry, and what hangs on a certificate."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Uuid, bindparam, column, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry.client_service import Standing
from certificate_registry.storage.audit_trail import record
from certificate_registry.storage.tables import ClientServiceRow
from certificate_registry.storage.told import tell_all


def standing_of(row: ClientServiceRow) -> Standing:
    """The row's standing, for the rules to judge."""
    return Standing(row.status, row.reason, row.activated_for_epoch)  # type: ignore[arg-type] # the table's own checks say the words


def write_standing(row: ClientServiceRow, standing: Standing) -> None:
    """What the rules decided."""
    row.status, row.reason, row.activated_for_epoch = standing.status, standing.reason, standing.activated_for_epoch


async def suspend_activated_before(session: AsyncSession, ended: Mapping[UUID, int], now: datetime) -> list[UUID]:
    """Suspends the services that were activated for an epoch that is over, by certificate and its last one; answers their ids."""
    if not ended:
        return []
    arrays = bindparam("certificates", list(ended), ARRAY(Uuid)), bindparam("epochs", list(ended.values()), ARRAY(BigInteger))
    over = func.unnest(*arrays).table_valued(column("certificate_id", Uuid), column("epoch", BigInteger)).render_derived()
    rows = await session.scalars(
        select(ClientServiceRow)
        .join(over, over.c.certificate_id == ClientServiceRow.certificate_id)
        .where(ClientServiceRow.status == "active", ClientServiceRow.activated_for_epoch <= over.c.epoch)
        .order_by(ClientServiceRow.id)
        .with_for_update(of=ClientServiceRow)
    )
    suspended = list(rows)
    for row in suspended:
        write_standing(row, standing_of(row).suspended(ended[row.certificate_id]))
        record(
            session,
            "suspended",
            actor="certificate-registry",
            kind="client-service",
            id=row.id,
            account_id=row.account_id,
            now=now,
            epoch=ended[row.certificate_id],
        )
    await tell_all(session, suspended, "suspended", now)
    return [row.id for row in suspended]


async def of_certificates(session: AsyncSession, certificate_ids: list[UUID]) -> list[ClientServiceRow]:
    """The services of these certificates that are not deleted, locked in order of their ids."""
    rows = await session.scalars(
        select(ClientServiceRow)
        .where(ClientServiceRow.certificate_id.in_(certificate_ids), ClientServiceRow.status != "deleted")
        .order_by(ClientServiceRow.id)
        .with_for_update()
    )
    return list(rows)
