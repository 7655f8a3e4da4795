import asyncio

import pytest

from hosting.request_head import MAX_HEAD, BoundedHead

HEAD = b"POST / HTTP/1.1\r\nHost: gateway.test\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


async def length(_scope, receive, send):
    """Answers how long the body is."""
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    body = str(size).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def port(serving):
    async with serving(length, BoundedHead) as taken:
        yield taken


async def answered(port, *pieces):
    """The last line of the answer to these pieces; empty where the connection was cut."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        head = await reader.readuntil(b"\r\n\r\n")
        return head.splitlines()[0], await reader.read(int(head.partition(b"content-length: ")[2].split()[0]))
    except (ConnectionError, asyncio.IncompleteReadError):
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "endless",
    [
        [HEAD, b"X: ", *[b"x" * 8192] * 400],
        [HEAD, *[b"X: " + b"x" * 1000 + b"\r\n"] * 3000],
        [b"POST /", *[b"x" * 8192] * 400],
        [CHUNKED, b"1\r\nx\r\n0\r\n", *[b"X: " + b"x" * 1000 + b"\r\n"] * 3000],
        [CHUNKED, b"1;", *[b"x" * 8192] * 400],
    ],
    ids=["a header", "headers", "a path", "trailers", "an extension"],
)
async def test_what_has_no_end_and_is_no_body_cuts_the_connection(port, endless):
    assert await answered(port, *endless, b"\r\n\r\n") == b""
    assert await answered(port, HEAD, b"\r\n") == (b"HTTP/1.1 200 OK", b"0")


@pytest.mark.parametrize("begun", [[b"P"], [HEAD]], ids=["a method", "a head"])
async def test_what_is_begun_and_never_ended_cuts_the_connection_in_time(port, monkeypatch, begun):
    monkeypatch.setattr("hosting.request_head.HEAD_S", 0.2)
    assert await answered(port, *begun) == b""


async def test_long_heads_and_bodies_of_any_length_are_served(port):
    long = b"X: " + b"x" * (MAX_HEAD - 500) + b"\r\n"
    assert await answered(port, HEAD, long, b"\r\n") == (b"HTTP/1.1 200 OK", b"0")
    chunks = [b"2710\r\n" + b"x" * 10_000 + b"\r\n"] * 100
    assert await answered(port, CHUNKED, *chunks, b"0\r\n\r\n") == (b"HTTP/1.1 200 OK", b"1000000")
    sized = HEAD + b"Content-Length: 1000000\r\n\r\n"
    assert await answered(port, sized, *[b"x" * 10_000] * 100) == (b"HTTP/1.1 200 OK", b"1000000")
