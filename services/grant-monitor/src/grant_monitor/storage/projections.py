"""What the monitor knows of accounts and certificates: the newest version heard of each."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import Table, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts import Account, Certificate
from grant_monitor.storage.tables import ACCOUNT, CERTIFICATE


async def keep_account(session: AsyncSession, account: Account) -> bool:
    """Whether it was news: a version that is not higher than what is kept changes nothing."""
    return await _keep(session, ACCOUNT, account.model_dump(include=set(ACCOUNT.c.keys())))


async def keep_certificate(session: AsyncSession, certificate: Certificate) -> bool:
    """Whether it was news, as for an account."""
    return await _keep(session, CERTIFICATE, certificate.model_dump(include=set(CERTIFICATE.c.keys())))


async def _keep(session: AsyncSession, table: Table, values: dict[str, object]) -> bool:
    row = insert(table).values(values)
    kept = row.on_conflict_do_update(
        index_elements=list(table.primary_key),
        set_={name: row.excluded[name] for name in values},
        where=table.c.version < row.excluded.version,
    ).returning(*table.primary_key)
    return (await session.execute(kept)).first() is not None


async def certificates_of(session: AsyncSession, account_id: UUID) -> Collection[UUID]:
    """The certificates that an account owns."""
    return set(await session.scalars(select(CERTIFICATE.c.certificate_id).where(CERTIFICATE.c.account_id == account_id)))
