"""The gateway's real database."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncEngine

from hosting.database import Sessions, migrate, open_engine, sessions_of
from signing_gateway.storage.tables import METADATA


@dataclass
class Database:
    """Connections to it, and what is in it."""

    url: str = field(repr=False)
    engine: AsyncEngine = field(repr=False)
    sessions: Sessions = field(repr=False)

    async def rows(self, name: str) -> list[Row]:
        table = METADATA.tables[name]
        async with self.engine.connect() as connection:
            return list(await connection.execute(select(table).order_by(*table.primary_key)))


@pytest.fixture
async def database(fresh_database: str) -> AsyncIterator[Database]:
    await migrate(fresh_database, "signing_gateway")
    engine = open_engine(fresh_database)
    yield Database(fresh_database, engine, sessions_of(engine))
    await engine.dispose()
