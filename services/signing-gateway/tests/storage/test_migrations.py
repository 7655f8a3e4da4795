import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from hosting.database import migrate
from signing_gateway.storage.tables import METADATA

pytestmark = pytest.mark.integration


async def test_the_migrations_make_exactly_the_tables_that_the_code_knows(database):
    async with database.engine.connect() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync, opts={"compare_type": True}), METADATA)
        )
    assert differences == []


async def test_a_gateway_starts_again_beside_one_that_has_migrated_further(database):
    async with database.engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await migrate(database.url, "signing_gateway")
    async with database.engine.connect() as connection:
        assert await connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


async def test_migrating_again_changes_nothing(database):
    await migrate(database.url, "signing_gateway")
    assert await database.rows("keyed_request") == []
