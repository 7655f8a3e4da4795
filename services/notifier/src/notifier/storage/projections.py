"""What others own, as they told it last. A row keeps the highest version, so tellings may come twice, late or again."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Table, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts import AccessGrant, Account, Certificate, ClientService, Operator
from notifier.storage.tables import access_grant, account, certificate, client_service, operator


async def _keep(session: AsyncSession, table: Table, row: Mapping[str, Any]) -> None:
    """Writes the row unless a version at least as high is there."""
    key = next(iter(table.primary_key.columns)).name
    statement = insert(table).values(**row)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[key],
            set_={name: statement.excluded[name] for name in row if name != key},
            where=table.c.version < statement.excluded.version,
        )
    )


async def keep_account(session: AsyncSession, told: Account) -> None:
    """The account's status, zone and language."""
    await _keep(session, account, told.model_dump(include={"account_id", "version", "status", "zone", "language"}))


async def keep_operator(session: AsyncSession, told: Operator) -> None:
    """Who is mailed, and how."""
    fields = {"operator_id", "version", "account_id", "name", "email", "language", "role", "status"}
    await _keep(session, operator, told.model_dump(include=fields))


async def keep_certificate(session: AsyncSession, told: Certificate) -> None:
    """Whose certificate it is, and its alias."""
    await _keep(session, certificate, told.model_dump(include={"certificate_id", "version", "account_id", "alias", "status"}))


async def keep_client_service(session: AsyncSession, told: ClientService) -> None:
    """What may stand still when access ends."""
    fields = {"client_service_id", "version", "certificate_id", "name", "status", "reason", "activated_for_epoch"}
    await _keep(session, client_service, told.model_dump(include=fields))


async def keep_grant(session: AsyncSession, told: AccessGrant) -> AccessGrant:
    """Keeps the grant's state and answers the newest one known, its row locked."""
    row = {"certificate_id": told.certificate_id, "version": told.version, "told": told.model_dump(mode="json")}
    await _keep(session, access_grant, row)
    newest = await session.scalar(
        select(access_grant.c.told).where(access_grant.c.certificate_id == told.certificate_id).with_for_update()
    )
    return AccessGrant.model_validate(newest)


async def grants_of(session: AsyncSession, certificate_ids: set[UUID]) -> dict[UUID, AccessGrant]:
    """The newest known states of these certificates' grants."""
    rows = await session.execute(
        select(access_grant.c.certificate_id, access_grant.c.told).where(access_grant.c.certificate_id.in_(certificate_ids))
    )
    return {row.certificate_id: AccessGrant.model_validate(row.told) for row in rows}
