"""PostgreSQL by SQLAlchemy and asyncpg, and migrations that live in each service's package."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, MetaData, event, make_url, text
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolExhausted
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

if TYPE_CHECKING:
    from alembic.config import Config

Sessions = async_sessionmaker[AsyncSession]

MIGRATION_LOCK = 0x51_4E_45_54  # any constant: two instances that start at once migrate one after the other
UNREACHABLE_AFTER_S = 60


def open_engine(url: str, *, pool_size: int = 10) -> AsyncEngine:
    """An engine for `postgresql://…`. Connections are tested before use, so a restarted database heals by itself.

    What a statement was given is in no error and no log of SQLAlchemy's.
    """
    engine = create_async_engine(
        make_url(url).set(drivername="postgresql+asyncpg"),
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=5,
        pool_timeout=5,
        pool_use_lifo=True,  # the one used last is the warmest at both ends
        connect_args={
            "timeout": 5,
            "command_timeout": 30,
            "server_settings": {"timezone": "UTC", "lock_timeout": "10000", "idle_in_transaction_session_timeout": "60000"},
        },
    )
    _test_before_use(engine.sync_engine)
    return engine


def _test_before_use(engine: Engine) -> None:
    """As SQLAlchemy's `pool_pre_ping`, which opens a transaction for it and ends it: one round trip to the server, not three."""

    @event.listens_for(engine, "checkout")
    def on_use(connection: Any, _record: Any, _proxy: Any) -> None:
        try:
            connection.run_async(lambda asyncpg: asyncpg.execute("SELECT 1"))
        except Exception as fault:
            raise InvalidatePoolError from fault


def sessions_of(engine: AsyncEngine) -> Sessions:
    """Sessions whose objects stay readable after the commit."""
    return async_sessionmaker(engine, expire_on_commit=False)


AWAY: tuple[type[Exception], ...] = (DBAPIError, PoolExhausted, ConnectionError, TimeoutError)
"""What `is_away` is to be asked of."""


def is_away(fault: BaseException) -> bool:
    """Whether the fault says that the server cannot be reached, is starting or went away, and not that a statement is wrong."""
    if isinstance(fault, DBAPIError):
        # SQLSTATE classes: 08 connection exception, 53 insufficient resources, 57P operator intervention
        return fault.connection_invalidated or str(getattr(fault.orig, "sqlstate", "")).startswith(("08", "53", "57P"))
    return isinstance(fault, AWAY)


def answers(engine: AsyncEngine) -> Callable[[], Awaitable[None]]:
    """A check for `Health`: raises while the database does not answer."""

    async def check() -> None:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    return check


async def migrate(url: str, package: str) -> None:
    """Brings the database up to the newest revision of `<package>/migrations`, under an advisory lock.

    Waits up to a minute for a database that is still starting.
    """
    engine = open_engine(url, pool_size=1)
    try:
        connection = await _reach(engine)
        try:
            await connection.run_sync(_upgrade, package)
            await connection.commit()
        finally:
            await connection.close()
    finally:
        await engine.dispose()


async def _reach(engine: AsyncEngine) -> AsyncConnection:
    for _ in range(UNREACHABLE_AFTER_S * 2):
        try:
            return await engine.connect()
        except AWAY as fault:  # the server starts after us
            if not is_away(fault):
                raise
            await asyncio.sleep(0.5)
    return await engine.connect()


def _upgrade(connection: Connection, package: str) -> None:
    if _reached(connection) >= _newest(package):
        return  # as at nearly every start; also where a newer instance has migrated: migrations only add
    from alembic import command

    config = migration_config(package)
    config.attributes["connection"] = connection
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK})
    command.upgrade(config, "head")


def _reached(connection: Connection) -> str:
    """The database's revision; empty before the first one."""
    if not connection.scalar(text("SELECT to_regclass('alembic_version')")):
        return ""
    return str(connection.scalar(text("SELECT max(version_num) FROM alembic_version")) or "")


def _newest(package: str) -> str:
    """The package's newest revision: the files of revisions begin with their numbers."""
    return max(each.name.split("_")[0] for each in _migrations(package).glob("versions/[0-9]*.py"))


def _migrations(package: str) -> Path:
    return Path(str(importlib.import_module(package).__file__)).parent / "migrations"


def migration_config(package: str) -> "Config":
    """Alembic's configuration without a file of its own: the scripts are in the package."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_migrations(package)))
    return config


def run_migrations(metadata: MetaData) -> None:
    """The body of a package's `migrations/env.py`: runs on the connection that `migrate` holds."""
    from alembic import context

    connection = context.config.attributes["connection"]
    connection.execute(text("SET LOCAL lock_timeout = '30s'"))
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
