"""Every refusal of the internal API: its status and its word for programs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout


class GrantUnknown(Exception):
    """No access of this certificate was ever granted."""


class DatabaseAway(Exception):
    """The database cannot be used just now; nothing was done by halves."""


REFUSALS: dict[type[Exception], tuple[int, str]] = {
    GrantUnknown: (404, "grant-unknown"),
    DatabaseAway: (503, "temporarily-unavailable"),
}


@asynccontextmanager
async def with_database() -> AsyncIterator[None]:
    """Says DatabaseAway for whatever the database's client raises, whose own text would tell statements and parameters."""
    try:
        yield
    except (DBAPIError, PoolTimeout, OSError) as fault:
        raise DatabaseAway("The database cannot be used just now. Make the same call again, with the same ids.") from fault
