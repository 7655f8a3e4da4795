"""The grant monitor's word on grants and usage: the highest version is kept, whatever order it is heard in."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import TypeVar
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Text, Uuid, bindparam, cast, column, func, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from certificate_registry.storage.tables import AccessGrantRow, UsageRow
from contracts import AccessGrant, Usage
from hosting.database import Sessions

LOOK_AGAIN_S = 0.05
TState = TypeVar("TState", AccessGrant, Usage)


async def keep_grants(session: AsyncSession, grants: Iterable[AccessGrant]) -> list[AccessGrant]:
    """Keeps each grant that is newer than what is known, and answers these. Their rows stay locked to the transaction's end."""
    newest = _newest((grant.certificate_id, grant) for grant in grants)
    return [newest[key] for key in await _kept(session, AccessGrantRow.certificate_id, newest)]


async def keep_usages(session: AsyncSession, usages: Iterable[Usage]) -> None:
    """Keeps each usage that is newer than what is known."""
    await _kept(session, UsageRow.client_service_id, _newest((usage.client_service_id, usage) for usage in usages))


def _newest(told: Iterable[tuple[UUID, TState]]) -> dict[UUID, TState]:
    """Of each the highest version, by rising id: the order in which all lock them."""
    return dict(sorted(told, key=lambda one: (one[0], one[1].version)))


async def _kept(
    session: AsyncSession, key: InstrumentedAttribute[UUID], newest: Mapping[UUID, AccessGrant | Usage]
) -> list[UUID]:
    """The keys of those that were news. One statement, however many there are."""
    if not newest:
        return []
    table, told = key.class_.__table__, list(newest.values())
    arrays = (
        bindparam("keys", list(newest), ARRAY(Uuid)),
        bindparam("versions", [state.version for state in told], ARRAY(BigInteger)),
        bindparam("states", [state.model_dump_json() for state in told], ARRAY(Text)),
    )
    heard = func.unnest(*arrays).table_valued(column("key", Uuid), column("version", BigInteger), column("told", Text))
    heard = heard.render_derived()
    rows = select(heard.c.key, heard.c.version, cast(heard.c.told, JSONB)).order_by(heard.c.key)
    new = insert(table).from_select([key.name, "version", "told"], rows)
    newer = new.on_conflict_do_update(
        index_elements=[key.name],
        set_={"version": new.excluded.version, "told": new.excluded.told},
        where=new.excluded.version > table.c.version,
    ).returning(table.c[key.name])
    return list(await session.scalars(newer))


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
