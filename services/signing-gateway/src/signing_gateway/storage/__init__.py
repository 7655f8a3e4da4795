"""What the gateways of one platform remember together, in PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession

from hosting.database import AWAY, Sessions, is_away
from signing_gateway.refusals import RecordsAway


@asynccontextmanager
async def recording(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    """One transaction. A database that cannot be reached is the refusal RecordsAway."""
    try:
        async with sessions.begin() as session:
            yield session
    except AWAY as fault:
        if is_away(fault):
            raise RecordsAway from fault
        raise
