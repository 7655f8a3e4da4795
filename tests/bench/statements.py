"""What a service said to its database, kept and said again alone: same statements, same order, same commits, same driver."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine


@dataclass
class Transaction:
    """The statements of one transaction, each with its parameters: of one execution, or of many at once."""

    begun: float = field(default_factory=perf_counter)
    statements: list[tuple[str, Any, bool]] = field(default_factory=list)


@contextmanager
def captured(engine: AsyncEngine) -> Iterator[list[Transaction]]:
    """The transactions that committed on `engine` within the block."""
    kept: list[Transaction] = []

    def on_statement(connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        connection.info.setdefault("said", Transaction()).statements.append((statement, parameters, many))

    def on_commit(connection: Any) -> None:
        if said := connection.info.pop("said", None):
            kept.append(said)

    def on_rollback(connection: Any) -> None:
        connection.info.pop("said", None)

    heard: list[tuple[str, Callable[..., None]]] = [
        ("before_cursor_execute", on_statement),
        ("commit", on_commit),
        ("rollback", on_rollback),
    ]
    for name, listener in heard:
        event.listen(engine.sync_engine, name, listener)
    try:
        yield kept
    finally:
        for name, listener in heard:
            event.remove(engine.sync_engine, name, listener)


async def said_again(url: str, transactions: list[Transaction], *, only: tuple[str, ...] = ()) -> float:
    """Seconds that the transactions take alone; with `only`, nothing but the statements that begin with one of these words."""
    connection = await asyncpg.connect(url, server_settings={"timezone": "UTC"})
    try:
        begun = perf_counter()
        for transaction in transactions:
            async with connection.transaction():
                for statement, parameters, many in transaction.statements:
                    if only and not statement.lstrip().startswith(only):
                        continue
                    if many:
                        await connection.executemany(statement, parameters)
                    else:
                        await connection.fetch(statement, *parameters)
        return perf_counter() - begun
    finally:
        await connection.close()


@asynccontextmanager
async def copied(administrator: str, url: str) -> AsyncIterator[str]:
    """A copy of the database at `url`, to which nobody may be connected; the administrator's URL of it. Dropped afterwards."""
    name = urlsplit(url).path[1:]
    copy = f"{name}_alone"
    await _run(administrator, f'CREATE DATABASE "{copy}" TEMPLATE "{name}" STRATEGY FILE_COPY')
    yield urlsplit(administrator)._replace(path=f"/{copy}").geturl()
    await _run(administrator, f'DROP DATABASE "{copy}" WITH (FORCE)')


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
