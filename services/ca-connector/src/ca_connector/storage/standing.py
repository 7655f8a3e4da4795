"""How epochs and accesses stand, many at once: what the fence and the cache of accesses are judged by."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from ca_connector.sealing import SealBroken, Sealer
from ca_connector.storage.access import Access, opened
from ca_connector.storage.tables import ACCESS

Key = tuple[UUID, int]
"""Certificate id and epoch."""

STANDING = """
    SELECT asked.place, e.expires_at, e.withdrawn_at IS NOT NULL AS withdrawn, a.token_version
    FROM unnest($1::text::uuid[], $2::text::int[]) WITH ORDINALITY AS asked (certificate_id, epoch, place)
    JOIN epoch e USING (certificate_id, epoch)
    JOIN ca_access a USING (certificate_id)
"""


class Standing(msgspec.Struct, frozen=True):
    """One epoch, and which version of its certificate's access is the newest."""

    expires_at: datetime
    withdrawn: bool
    token_version: int

    def over(self, now: datetime) -> str | None:
        """Why nothing may be signed under this epoch; None when it may. A replaced epoch stays good until its end."""
        if self.withdrawn:
            return "access-withdrawn"
        return "epoch-over" if now >= self.expires_at else None


async def standings(looking: Any, keys: Sequence[Key], *, timeout_s: float) -> list[Standing | None]:
    """Each key's, in their order, by one round trip of asyncpg's, with `STANDING` prepared; None of an epoch never assigned.

    The keys go as text: of an array asyncpg asks in Python, for each element, whether it is one itself.
    """
    ids, epochs = ",".join([f"{key[0].int:032x}" for key in keys]), ",".join([str(key[1]) for key in keys])
    rows = await looking.fetch(f"{{{ids}}}", f"{{{epochs}}}", timeout=timeout_s)
    found: list[Standing | None] = [None] * len(keys)
    for place, *standing in rows:
        found[place - 1] = Standing(*standing)
    return found


async def accesses(session: AsyncSession, ids: Collection[UUID], sealer: Sealer) -> dict[UUID, Access | SealBroken]:
    """The accesses to these certificates. One whose tokens do not open is a fault of its own and spoils no other."""
    rows = await session.execute(sa.select(ACCESS).where(ACCESS.c.certificate_id.in_(ids)))
    found: dict[UUID, Access | SealBroken] = {}
    for row in rows:
        try:
            found[row.certificate_id] = opened(row, sealer)
        except SealBroken as fault:
            found[row.certificate_id] = fault
    return found
