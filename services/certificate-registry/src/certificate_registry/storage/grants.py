"""The grant monitor's word on grants and usage: the highest version is kept, whatever order it is heard in."""

import asyncio
from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry.storage.tables import AccessGrantRow, UsageRow
from contracts import AccessGrant, Usage
from hosting.database import Sessions

LOOK_AGAIN_S = 0.05


async def keep_grant(session: AsyncSession, grant: AccessGrant) -> bool:
    """Keeps the grant if it is newer than what is known; false otherwise. The row stays locked to the transaction's end."""
    statement = insert(AccessGrantRow).values(
        certificate_id=grant.certificate_id, version=grant.version, told=grant.model_dump(mode="json")
    )
    return await _kept(session, statement, AccessGrantRow)


async def keep_usage(session: AsyncSession, usage: Usage) -> bool:
    """Keeps the usage if it is newer than what is known; false otherwise."""
    statement = insert(UsageRow).values(
        client_service_id=usage.client_service_id, version=usage.version, told=usage.model_dump(mode="json")
    )
    return await _kept(session, statement, UsageRow)


async def _kept(session: AsyncSession, statement: Insert, kind: type[AccessGrantRow] | type[UsageRow]) -> bool:
    key = next(iter(kind.__table__.primary_key))
    newer = statement.on_conflict_do_update(
        index_elements=[key],
        set_={"version": statement.excluded.version, "told": statement.excluded.told},
        where=statement.excluded.version > kind.version,
    ).returning(key)
    return (await session.execute(newer)).first() is not None


async def grant_of(session: AsyncSession, certificate_id: UUID, *, hold: bool = False) -> AccessGrant | None:
    """The certificate's grant. With `hold` none newer is taken in before the transaction ends: a suspension waits for it."""
    statement = select(AccessGrantRow.told).where(AccessGrantRow.certificate_id == certificate_id)
    told = await session.scalar(statement.with_for_update(read=True) if hold else statement)
    return None if told is None else AccessGrant.model_validate(told)


async def heard(sessions: Sessions, certificate_id: UUID, epoch: int, *, within_s: float) -> bool:
    """Waits until the grant of `epoch` (or a later one) is known here; false where it was not within about that time."""
    for _ in range(int(within_s / LOOK_AGAIN_S)):
        async with sessions() as session:
            grant = await grant_of(session, certificate_id)
        if grant is not None and grant.epoch >= epoch:
            return True
        await asyncio.sleep(LOOK_AGAIN_S)
    return False


async def grants_of(session: AsyncSession, certificate_ids: Iterable[UUID]) -> dict[UUID, AccessGrant]:
    """The grants of these certificates, as far as they have one."""
    rows = await session.scalars(select(AccessGrantRow).where(AccessGrantRow.certificate_id.in_(list(certificate_ids))))
    return {row.certificate_id: AccessGrant.model_validate(row.told) for row in rows}


async def usage_of(session: AsyncSession, client_service_id: UUID) -> Usage | None:
    """What the client service signed, or None while nothing was told."""
    row = await session.get(UsageRow, client_service_id)
    return None if row is None else Usage.model_validate(row.told)
