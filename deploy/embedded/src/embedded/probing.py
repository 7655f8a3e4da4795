"""How health is asked for: never longer than two seconds, never an exception."""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

from embedded.keeping import Health, Probe
from embedded.parts import kafka, postgres
from embedded.refusals import CannotStart

PATIENCE = 2.0


def of(answers: Callable[[], bool]) -> Probe:
    """A probe from a blocking question that bounds itself."""

    async def probe() -> Health:
        return "ok" if await asyncio.to_thread(answers) else "down"

    return probe


def of_postgres(url: str) -> Probe:
    """Whether the server at a database URL takes connections."""
    host, port = place("DATABASE_URL", url if "://" in url else "", 5432)
    return of(lambda: postgres.answers(host, port))


def of_kafka(bootstrap: str) -> Probe:
    """Whether the first of the bootstrap servers takes requests."""
    host, port = place("KAFKA_BOOTSTRAP", f"kafka://{bootstrap.partition(',')[0].strip()}", 9092)
    return of(lambda: kafka.answers(host, port))


def place(variable: str, url: str, otherwise: int) -> tuple[str, int]:
    """Host and port of a URL.

    Raises:
        CannotStart: it names none.
    """
    try:
        where = urlsplit(url)
        host, port = where.hostname, where.port or otherwise
    except ValueError:
        host = None
    if not host:
        raise CannotStart("The stack", f"{variable} names no server")
    return host, port


def of_url(url: str) -> Probe:
    """GET: 200 is ok, any other answer degraded, none down."""
    where = urlsplit(url)
    host, port = where.hostname or "127.0.0.1", where.port or 80
    request = f"GET {where.path or '/'} HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: close\r\n\r\n".encode("ascii")

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection(host, port)
        try:
            writer.write(request)
            return await reader.readline()
        finally:
            writer.close()

    async def probe() -> Health:
        try:
            async with asyncio.timeout(PATIENCE):
                answer = (await ask()).split(b" ", 2)
        except (OSError, TimeoutError, ValueError):
            return "down"
        if len(answer) < 2:
            return "down"
        return "ok" if answer[1] == b"200" else "degraded"

    return probe
