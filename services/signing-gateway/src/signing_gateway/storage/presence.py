"""Whether the gateway that began something still lives, as the database sees it.

Each process holds an advisory lock under a number of its own, which it writes beside what it begins. PostgreSQL frees the lock
with the connection: at once when the process is killed, within seconds when its machine is gone. So another gateway need not wait
out a lease, and no two clocks are compared. A process that lost its connection and lives on counts as gone: its numbers change,
and it cannot record what it had begun.
"""

import asyncio
import secrets

from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.sql.elements import KeyedColumnElement

from signing_gateway.refusals import RecordsAway

LOOK_S = 2.0  # how soon a process notices that its own connection is gone
ENTER_S = 2.0  # patience of a request for a process that has just started
KEEPALIVES = {"tcp_keepalives_idle": 5, "tcp_keepalives_interval": 2, "tcp_keepalives_count": 3}
"""Seconds and a count: how the server notices a machine that is gone without a word."""


class Presence:
    """This process's mark in the database."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._number: int | None = None
        self._entered = asyncio.Event()

    async def number(self) -> int:
        """What to write beside that which this process begins. Raises RecordsAway while the database does not know of it."""
        try:
            await asyncio.wait_for(self._entered.wait(), ENTER_S)
        except TimeoutError:
            raise RecordsAway from None
        assert self._number is not None
        return self._number

    async def run(self) -> None:
        """Stays marked for the life of the process. Ends with an error when the connection breaks; begun again, it marks anew."""
        number = secrets.randbits(62)
        connection = await self._engine.connect()
        try:
            await connection.execution_options(isolation_level="AUTOCOMMIT")  # no transaction that would be idle for ever
            for name, value in KEEPALIVES.items():
                await connection.execute(text(f"SET {name} = {value}"))
            await connection.execute(select(func.pg_advisory_lock(number)))
            self._number = number
            self._entered.set()
            while True:
                await asyncio.sleep(LOOK_S)
                await connection.execute(text("SELECT 1"))
        finally:
            self._entered.clear()
            await connection.invalidate()  # back in the pool it would keep the lock


def gone(holder: KeyedColumnElement[int]) -> ColumnElement[bool]:
    """SQL: no living process holds this number. Shared, so that two that ask at once do not take each other for the holder."""
    return func.pg_try_advisory_xact_lock_shared(holder)
