"""Everything a running stack has written where secrets must not be, to be searched for them (control 38).

Left out is what has to hold them: `secrets/`, `demo.json`, the supervisor's own file, the person's mailbox and the sandbox CA.
"""

import asyncio
import base64
import hashlib
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

import aiohttp
import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from embedded.ports import SERVICES
from embedded.stack import Stack

WORD = re.compile(r"(?<![\w.])\d{6}(?!\w)|[\w-]{20,}", re.ASCII)
JWT = re.compile(r"\beyJ[\w-]{10,}\.[\w-]{10,}")
TABLES = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
Written = list[tuple[str, str]]
"""Where, and what is written there."""


async def written(stack: Stack) -> Written:
    """Logs, records, rows, spans, metrics, and what the processes were started with."""
    found = [*_processes(stack), *_logs(stack)]
    for more in (_records(stack), _rows(stack), _spans(stack), _metrics(stack)):
        found += [each async for each in more]
    return found


def finds(places: Written, secrets: dict[str, str]) -> list[str]:
    """`what in where` for each secret found, as it is, URL-encoded, in base64 or as bytes in hexadecimal."""
    shapes = {what: re.compile("|".join(map(_bounded, _shapes(secret)))) for what, secret in secrets.items()}
    return [f"{what} in {where}" for where, text in places for what, shape in shapes.items() if shape.search(text)]


def known_to_ca(places: Written, sandbox_ca: Path) -> list[str]:
    """Where there is a code, token or SAD of the sandbox CA's, which keeps only their digests; and where any JWT is."""
    with sqlite3.connect(f"file:{sandbox_ca / 'memory.sqlite'}?mode=ro", uri=True) as memory:
        digests = {row[0] for row in memory.execute("SELECT digest FROM token UNION SELECT digest FROM sad")}
    assert digests, "nothing was ever given by the CA"
    words = ((where, word) for where, text in places for word in set(WORD.findall(text)))
    tokens = [f"a secret of the CA's in {where}" for where, word in words if hashlib.sha256(word.encode()).hexdigest() in digests]
    return tokens + [f"a JWT in {where}" for where, text in places if JWT.search(text)]


def _bounded(shape: str) -> str:
    return rf"(?<![\w.]){re.escape(shape)}(?!\w)" if len(shape) < 10 else re.escape(shape)


def _shapes(secret: str) -> Iterable[str]:
    plain = secret.encode()
    yield from {secret, quote(secret, safe="")}
    if len(secret) >= 10:
        yield from {base64.b64encode(plain).decode().rstrip("="), plain.hex()}


def _processes(stack: Stack) -> Iterator[tuple[str, str]]:
    for service in SERVICES:
        for file in ("environ", "cmdline"):
            yield (
                f"{service}'s {file}",
                Path(f"/proc/{stack.pid(service)}/{file}").read_text(errors="replace").replace("\0", "\n"),
            )


def _logs(stack: Stack) -> Iterator[tuple[str, str]]:
    for file in sorted((stack.state / "logs").iterdir()):
        yield f"logs/{file.name}", file.read_text(errors="replace")


async def _records(stack: Stack) -> AsyncIterator[tuple[str, str]]:
    """Every record that is still there, unpacked, with key and headers."""
    bootstrap = stack.status["kafka"]["bootstrap"]
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    topics = await admin.describe_topics()
    await admin.close()
    parts = [TopicPartition(each["topic"], part["partition"]) for each in topics for part in each["partitions"]]
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        consumer.assign(parts)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(parts)
        while any([await consumer.position(part) < ends[part] for part in parts]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    told = (record.key, record.value, *(f"{name}=".encode() + value for name, value in record.headers))
                    yield f"topic {record.topic}", "\n".join(part.decode("utf-8", "replace") for part in told if part)


async def _rows(stack: Stack) -> AsyncIterator[tuple[str, str]]:
    server = stack.status["postgres"]["url"].rpartition("/")[0]
    for service in SERVICES:
        connection = await asyncpg.connect(f"{server}/{service.replace('-', '_')}")
        try:
            for schema, table in await connection.fetch(TABLES):
                for row in await connection.fetch(f'SELECT row_to_json(each)::text FROM "{schema}"."{table}" AS each'):  # noqa: S608
                    yield f"{service}'s table {table}", row[0]
        finally:
            await connection.close()


async def _spans(stack: Stack) -> AsyncIterator[tuple[str, str]]:
    url = stack.status["traces"]["url"]
    await asyncio.sleep(2)  # spans leave once a second
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/api/runs") as answer:
            runs = await answer.json()
        assert runs, "no trace was kept"
        for run in runs:
            async with session.get(f"{url}/api/runs/{run['id']}/spans") as answer:
                yield f"trace {run['name']}", json.dumps(await answer.json(), indent=1)


async def _metrics(stack: Stack) -> AsyncIterator[tuple[str, str]]:
    async with aiohttp.ClientSession() as session:
        for service, told in stack.status["services"].items():
            for path in ("metrics", "readyz"):
                async with session.get(f"{told['admin_url']}/{path}") as answer:
                    yield f"{service}'s /{path}", await answer.text()
