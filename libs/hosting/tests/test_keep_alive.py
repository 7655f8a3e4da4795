import asyncio
from contextlib import asynccontextmanager

import pytest

from hosting.keep_alive import KeepsAlive

REQUEST = b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n"
IDLE_S = 0.3


@pytest.fixture
def connected(serving):
    @asynccontextmanager
    async def connect(app):
        async with serving(app, KeepsAlive, timeout_keep_alive=IDLE_S) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            yield reader, writer
            writer.close()

    return connect


def answering(after_s):
    async def app(_scope, _receive, send):
        await asyncio.sleep(after_s)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    return app


async def ask(reader, writer):
    writer.write(REQUEST)
    assert (await reader.readuntil(b"\r\n\r\nok")).startswith(b"HTTP/1.1 200")


async def test_a_connection_in_use_stays_for_as_long_as_it_is_used_and_an_idle_one_ends(connected):
    async with connected(answering(0)) as (reader, writer):
        for _ in range(8):
            await ask(reader, writer)
            await asyncio.sleep(IDLE_S / 3)
        assert await asyncio.wait_for(reader.read(), 10) == b""


async def test_a_request_that_takes_longer_than_a_connection_may_lie_idle_is_answered_and_so_is_the_next(connected):
    async with connected(answering(IDLE_S * 2)) as (reader, writer):
        await ask(reader, writer)
        await ask(reader, writer)
        assert await asyncio.wait_for(reader.read(), 10) == b""
