import asyncio

import pytest

from hosting.request_head import BoundedHead

WRITTEN: list[bytes] = []


class Watched:
    """A transport that keeps what is written to it."""

    def __init__(self, transport):
        self._transport = transport

    def write(self, data):
        WRITTEN.append(bytes(data))
        self._transport.write(data)

    def __getattr__(self, name):
        return getattr(self._transport, name)


class WatchedHead(BoundedHead):
    def connection_made(self, transport):
        super().connection_made(Watched(transport))


async def app(scope, receive, send):
    """`/two`: a body in two pieces; `/fails`: a head and then a fault; else a body of what was sent."""
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    length = 0 if scope["path"] == "/nothing" else len(body)
    headers = [] if scope["path"] == "/two" else [(b"content-length", b"%d" % length)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["path"] == "/fails":
        raise RuntimeError("after its head")
    if scope["path"] == "/two":
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": body[:length]})


@pytest.fixture
async def port(serving):
    WRITTEN.clear()
    async with serving(app, WatchedHead) as taken:
        yield taken


async def exchanged(port, method, path, body=b"", *headers):
    """Everything that one request is answered by until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"{method} {path} HTTP/1.1", "Host: gateway.test", "Connection: close", f"Content-Length: {len(body)}", *headers]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    if "Expect: 100-continue" in headers:
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
    writer.write(body)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("method", "path", "body"), [("POST", "/", b"all of it"), ("POST", "/nothing", b"x"), ("HEAD", "/", b"")]
)
async def test_an_answer_is_written_at_once(port, method, path, body):
    answer = await exchanged(port, method, path, body)
    assert [answer] == WRITTEN
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.partition(b"\r\n\r\n")[2] == (body if path == "/" else b"")


async def test_what_comes_later_of_a_body_is_written_when_it_comes(port):
    answer = await exchanged(port, "POST", "/two", b"second")
    assert WRITTEN[1:] == [b"6\r\nsecond\r\n0\r\n\r\n"]
    assert answer.partition(b"\r\n\r\n")[2] == b"5\r\nfirst\r\n" + WRITTEN[1]


async def test_who_waits_to_be_told_to_go_on_is_told(port):
    assert (await exchanged(port, "POST", "/", b"body", "Expect: 100-continue")).endswith(b"\r\n\r\nbody")


async def test_a_fault_after_the_head_ends_the_connection(port):
    assert (await exchanged(port, "POST", "/fails", b"x")).partition(b"\r\n\r\n")[2] == b""


async def test_answers_on_one_connection_come_one_after_the_other(port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = b"POST / HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: 1\r\n\r\n"
    writer.write(request + b"a" + request + b"b")
    for expected in (b"a", b"b"):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
        assert await reader.readexactly(1) == expected
    writer.close()
    assert len(WRITTEN) == 2
