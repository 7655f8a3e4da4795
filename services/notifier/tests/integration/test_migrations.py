"""The tables that the migrations make are the tables that the code knows."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from hosting.database import migrate, open_engine
from notifier.storage import METADATA

pytestmark = pytest.mark.integration


async def test_migrations_run_twice_and_agree_with_the_metadata(fresh_database):
    await migrate(fresh_database, "notifier")
    await migrate(fresh_database, "notifier")
    engine = open_engine(fresh_database)
    async with engine.connect() as connection:
        differences = await connection.run_sync(lambda sync: compare_metadata(MigrationContext.configure(sync), METADATA))
    await engine.dispose()
    assert differences == []
