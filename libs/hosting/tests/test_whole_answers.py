import asyncio
import gc
import weakref

import pytest

from hosting.whole_answers import EXTENSION, AnswersWhole
from observability.http import ANSWERED


class App:
    """Answers with the path, as a whole where it may."""

    def __init__(self):
        self.whole = []

    async def __call__(self, scope, _receive, send):
        if scope["path"] == "/slow":
            await asyncio.sleep(0.05)
        body = scope["path"].encode()
        headers = [(b"content-length", str(len(body)).encode())]
        went = scope["extensions"][EXTENSION](scope, 200, headers, body)
        self.whole.append((went, scope.get(ANSWERED)))
        if not went:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": body})


@pytest.fixture
def app():
    return App()


@pytest.fixture
async def connection(app, serving):
    async with serving(app, AnswersWhole) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        yield reader, writer
        writer.close()


def request(path, version="1.1"):
    return f"GET {path} HTTP/{version}\r\nHost: gateway.test\r\n\r\n".encode()


async def body(reader):
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\ndate: " in head
    return await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))


async def test_an_answer_goes_out_whole_and_says_its_status_to_whoever_counts(app, connection):
    reader, writer = connection
    for path in ("/a", "/b"):
        writer.write(request(path))
        assert await body(reader) == path.encode()
    assert app.whole == [(True, 200), (True, 200)]


async def test_requests_sent_before_an_answer_came_are_answered_in_their_order(app, connection):
    reader, writer = connection
    writer.write(request("/slow") + request("/b") + request("/c"))
    assert [await body(reader) for _ in range(3)] == [b"/slow", b"/b", b"/c"]
    assert len(app.whole) == 3


async def test_the_last_request_of_a_connection_is_answered_by_messages_and_the_connection_ends(app, connection):
    reader, writer = connection
    writer.write(request("/a", version="1.0"))
    assert await body(reader) == b"/a"
    assert await asyncio.wait_for(reader.read(), 10) == b""
    assert app.whole == [(False, None)]


async def test_a_connection_that_ended_leaves_nothing_to_the_cycle_collector(app, serving):
    made = weakref.WeakSet()

    class Seen(AnswersWhole):
        def connection_made(self, transport):
            made.add(self)
            super().connection_made(transport)

    gc.disable()
    try:
        async with serving(app, Seen) as port:
            for path in ("/a", "/slow", "/b"):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(request(path))
                await body(reader)
                writer.close()
            async with asyncio.timeout(10):
                while len(app.whole) < 3 or made:
                    await asyncio.sleep(0.01)
    finally:
        gc.enable()
