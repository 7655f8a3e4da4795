from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from certificate_registry.storage import METADATA
from hosting.database import migrate, open_engine

pytestmark = pytest.mark.integration


async def test_the_migrations_make_the_tables_that_the_code_knows(own_database):
    def differences(connection: Connection) -> list[Any]:
        return compare_metadata(MigrationContext.configure(connection), METADATA)

    engine = open_engine(own_database, pool_size=1)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()


async def test_migrating_again_changes_nothing(own_database):
    await migrate(own_database, "certificate_registry")
