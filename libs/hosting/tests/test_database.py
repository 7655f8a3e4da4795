import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from hosting.database import open_engine


@pytest.mark.integration
async def test_what_a_failed_statement_was_given_is_not_in_its_error(fresh_database):
    engine = open_engine(fresh_database, pool_size=1)
    try:
        async with engine.connect() as connection:
            with pytest.raises(DBAPIError) as failed:
                await connection.execute(text("SELECT 1 / length(left(CAST(:secret AS text), 0))"), {"secret": "canary"})
    finally:
        await engine.dispose()
    assert "division by zero" in str(failed.value)
    assert "canary" not in f"{failed.value!s} {failed.value!r}"
