import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from ca_connector.storage import METADATA
from hosting.database import migrate

pytestmark = pytest.mark.integration


async def test_the_migrations_make_exactly_the_tables_that_the_code_knows(database):
    async with database.connect() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync, opts={"compare_type": True}), METADATA)
        )
    assert differences == []


async def test_migrating_again_changes_nothing(database, fresh_database):
    await migrate(fresh_database, "ca_connector")
