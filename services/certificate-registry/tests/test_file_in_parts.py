"""Whatever is cut, a client that asks for what it lacks ends with the file, and completeness is never told before that."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from certificate_registry.retrieval import Part
from certificate_registry.routes import file_in_parts

FILE = bytes(range(256)) * 6


class Server:
    """What is kept of a download; `killed` loses what would be told after the last byte."""

    def __init__(self) -> None:
        self.handed_out = 0
        self.complete = False
        self.killed = False

    async def went(self, part: Part, over: bool) -> None:
        if over and self.killed:
            return
        self.handed_out = max(self.handed_out, part[1])
        self.complete = self.complete or (over and part[1] == len(FILE))


async def ask(server: Server, got: bytes, *, takes: int) -> bytes:
    """One request for what is missing, of a client that hangs up after `takes` bytes."""
    came = bytearray()
    headers = [(b"range", f"bytes={len(got)}-".encode())] if got else []
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "query_string": b""}

    async def receive() -> dict[str, Any]:
        while len(came) < takes:
            await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        came.extend(message.get("body", b""))

    answer = file_in_parts.file_in_parts(
        Request(scope),
        FILE,
        handed_out=server.handed_out,
        sha256="x",
        kind="application/x-pkcs12",
        name="x.p12",
        went=server.went,
    )
    await answer(scope, receive, send)
    return (got if answer.status_code == 206 else b"") + bytes(came[:takes])


@pytest.fixture(scope="module", autouse=True)
def _a_short_moment():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_in_parts, "STILL_THERE_S", 0.001)
        yield


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(1, len(FILE) - 1), st.booleans()), max_size=6))
def test_a_client_that_resumes_gets_it_all_and_completeness_waits_for_the_last_byte(cuts):
    async def download() -> None:
        server, got = Server(), b""
        for takes, killed in cuts:
            left = len(FILE) - len(got)
            server.killed = killed
            got = await ask(server, got, takes=min(takes, left - 1) if left > 1 else 0)
            assert not server.complete
            assert got == FILE[: len(got)]
        server.killed = False
        got = await ask(server, got, takes=len(FILE) + 1)
        assert got == FILE
        assert server.complete

    asyncio.run(download())


async def test_a_server_killed_after_the_last_byte_owes_nothing_but_the_last_part_again():
    server = Server()
    server.killed = True
    assert await ask(server, b"", takes=len(FILE) + 1) == FILE
    assert not server.complete
    server.killed = False
    assert await ask(server, FILE[:-1], takes=len(FILE) + 1) == FILE
    assert server.complete


async def test_who_goes_on_from_what_was_never_handed_out_gets_the_whole():
    server = Server()
    assert await ask(server, b"of another file", takes=len(FILE) + 1) == FILE
    assert server.complete
