import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from hosting.database import is_away, open_engine


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


@pytest.mark.integration
async def test_a_server_that_ends_our_connection_is_away_and_one_that_refuses_a_statement_is_not(fresh_database):
    engine = open_engine(fresh_database, pool_size=1)
    faults = []
    for statement in ("SELECT pg_terminate_backend(pg_backend_pid())", "SELECT 1 / 0"):
        try:
            async with engine.connect() as connection:
                await connection.execute(text(statement))
        except DBAPIError as fault:
            faults.append(fault)
    await engine.dispose()
    assert [is_away(fault) for fault in faults] == [True, False]


@pytest.mark.integration
async def test_connections_that_the_server_ended_while_they_lay_unused_are_replaced(fresh_database):
    engine, other = open_engine(fresh_database, pool_size=1), open_engine(fresh_database, pool_size=1)
    try:
        async with engine.connect() as connection:
            first = await connection.scalar(text("SELECT pg_backend_pid()"))
        async with other.connect() as connection:
            await connection.execute(text("SELECT pg_terminate_backend(:pid, 10000)"), {"pid": first})
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT pg_backend_pid()")) != first
    finally:
        await engine.dispose()
        await other.dispose()
