from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from grant_monitor.storage.rows import EPOCHS, GRANTS
from grant_monitor.storage.tables import GRANT_EPOCH, METADATA
from hosting.database import migrate

pytestmark = pytest.mark.integration


async def test_the_migrations_make_exactly_the_tables_that_the_code_knows(database):
    async with database.engine.connect() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync, opts={"compare_type": True}), METADATA)
        )
    assert differences == []


async def test_migrating_again_changes_nothing(database):
    await migrate(database.url, "grant_monitor")
    assert await database.rows("access_grant") == []


@pytest.mark.parametrize(
    "change",
    [
        {"settled": 4, "forfeited": 3, "reserved": 4},
        {"reserved": -1},
        {"forfeited": -1},
        {"counted": 1},
        {"state": "warned"},
    ],
)
async def test_the_database_itself_refuses_counts_that_cannot_be(database, change, make):
    certificate_id = uuid4()
    books = make.books(make.grant(certificate_id, limit=10))
    async with database.engine.begin() as connection:
        for kept, record in (GRANTS, books.grants[certificate_id]), (EPOCHS, books.current(certificate_id)):
            await connection.execute(insert(kept.new.table), [dict(zip(kept.new.names, kept.values(record), strict=True))])
    async with database.engine.connect() as connection:
        with pytest.raises(IntegrityError):
            await connection.execute(update(GRANT_EPOCH).values(change))
