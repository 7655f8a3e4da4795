import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from hosting.database import migrate
from signing_gateway.storage.tables import METADATA

pytestmark = pytest.mark.integration


async def test_the_migrations_make_exactly_the_tables_that_the_code_knows(database):
    async with database.engine.connect() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync, opts={"compare_type": True}), METADATA)
        )
    assert differences == []


async def test_migrating_again_changes_nothing(database):
    await migrate(database.url, "signing_gateway")
    assert await database.rows("keyed_request") == []
