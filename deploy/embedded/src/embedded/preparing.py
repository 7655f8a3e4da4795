"""What the services find ready: a database and a role each, and the topics."""

import asyncio
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from embedded.plan import Addresses
from embedded.ports import SERVICES
from embedded.refusals import CannotStart
from embedded.state import write_private

EXISTS = 36
"""Kafka's error code for a topic that is there already."""
COPIES = 3
"""Replicas of a topic, where there are as many brokers."""
TIMEOUT = 30.0


def quoted(identifier: str) -> str:
    """An SQL identifier."""
    return '"' + identifier.replace('"', '""') + '"'


def url_of(admin: str, role: str, password: str, database: str) -> str:
    """The URL of one database on the administrator's server."""
    parts = urlsplit(admin)
    where = parts.netloc.rpartition("@")[2]
    return urlunsplit(("postgresql", f"{role}:{quote(password, safe='')}@{where}", f"/{database}", parts.query, ""))


async def create_databases(at: Addresses) -> None:
    """A role and a database of its own for each service; the role's password is what its secret says."""
    import asyncpg

    try:
        connection = await asyncpg.connect(plain(at.postgres), timeout=TIMEOUT)
    except (OSError, asyncpg.PostgresError, ValueError, TimeoutError) as error:
        raise CannotStart("The databases", f"PostgreSQL does not let us in ({error}). Check DATABASE_URL.") from error
    try:
        for service in SERVICES:
            await create_database(connection, *at.database(service))
            write_private(at.state.secrets(service) / "database_url", url_of(at.postgres, *at.database(service)).encode())
    except asyncpg.PostgresError as error:
        raise CannotStart("The databases", f"{error}. DATABASE_URL must be allowed to create databases and roles.") from error
    finally:
        await connection.close(timeout=TIMEOUT)


async def create_database(connection: Any, role: str, password: str, database: str) -> None:
    """One role and its database. DDL takes no parameters; a password of ours holds no quote."""
    assert "'" not in password
    known = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role)
    verb = "ALTER" if known else "CREATE"
    await connection.execute(f"{verb} ROLE {quoted(role)} LOGIN PASSWORD '{password}'")
    if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
        # Since PostgreSQL 16 an administrator who is no superuser has to be a member to give a database away.
        await connection.execute(f"GRANT {quoted(role)} TO CURRENT_USER")
        await connection.execute(f"CREATE DATABASE {quoted(database)} OWNER {quoted(role)}")


def plain(url: str) -> str:
    """The URL as asyncpg takes it: without a driver's name."""
    scheme, _, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}://{rest}"


async def create_topics(bootstrap: str) -> None:
    """Creates every topic of the contracts; one that exists is left as it is."""
    from contracts.topics import TOPICS

    await create(bootstrap, ((topic.name, topic.partitions, dict(topic.config)) for topic in TOPICS))


async def create(bootstrap: str, topics: Iterable[tuple[str, int, dict[str, str]]]) -> None:
    """Creates topics, each a name, a number of partitions and a configuration."""
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic
    from aiokafka.errors import KafkaError

    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=int(TIMEOUT * 1000))
    try:
        async with asyncio.timeout(TIMEOUT):
            await client.start()
            copies = min(COPIES, len((await client.describe_cluster())["brokers"]))
            wanted = [NewTopic(name, count, copies, topic_configs=config) for name, count, config in topics]
            answer = await client.create_topics(wanted)
    except (KafkaError, OSError, TimeoutError) as error:
        raise CannotStart("The topics", f"Kafka at {bootstrap} does not create them ({type(error).__name__}: {error})") from error
    finally:
        await client.close()
    for name, code, message in answer.topic_errors:
        if code not in (0, EXISTS):
            raise CannotStart("The topics", f"Kafka at {bootstrap} refuses {name}: {message} (code {code})")
