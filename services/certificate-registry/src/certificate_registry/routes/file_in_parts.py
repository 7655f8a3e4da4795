"""A file that is handed out whole or in parts (RFC 9110 §14), and what is honestly known of how much went out."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from certificate_registry.retrieval import Part, RangeOutside, wanted

STILL_THERE_S = 0.5
"""How long the last byte of an answer is held back, to see whether the client is still there after the rest."""

Went = Callable[[Part, bool], Awaitable[None]]
"""Hears of a part that is about to be sent (False), and of one whose last byte was sent to a client still there (True)."""


def file_in_parts(
    request: Request, content: bytes, *, handed_out: int, sha256: str, kind: str, name: str, went: Went
) -> Response:
    """The part of the file that the request asks for, where it goes on from what was handed out; else the whole."""
    etag, size = f'"{sha256}"', len(content)
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Accel-Buffering": "no",  # nginx passes on what it gets, so that a client that went away is noticed here
    }
    still_the_same = request.headers.get("if-range", etag) == etag
    try:
        part = wanted(request.headers.get("range"), size) if still_the_same else None
    except RangeOutside:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    if part and part[0] > handed_out:
        part = None  # what precedes it was of another file, or another's
    start, stop = part or (0, size)
    if part:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
    return _FilePart(content[start:stop], start, went, status=206 if part else 200, headers=headers, kind=kind)


class _FilePart(Response):
    """An answer whose last byte goes out only while the client listens.

    The whole file fits into the buffers between here and the client, so having sent it says nothing of one that hung up. The last
    byte is sent when the client has not gone away for a moment after the rest. That it is about to be sent is told beforehand:
    whoever was cut off in it, by a process that died too, may go on from where he is.
    """

    def __init__(self, content: bytes, start: int, went: Went, *, status: int, headers: dict[str, str], kind: str) -> None:
        super().__init__(content, status, headers, kind)
        self._start, self._went = start, went

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["method"] == "HEAD":
            await super().__call__(scope, receive, send)
            return
        content, first = bytes(self.body), len(self.body) - 1
        part = (self._start, self._start + len(content))
        await self._went(part, False)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": content[:first], "more_body": True})
        if not await _gone(receive):
            await send({"type": "http.response.body", "body": content[first:], "more_body": False})
            await self._went(part, True)


async def _gone(receive: Receive) -> bool:
    """Whether the client went away within a moment."""

    async def disconnected() -> None:
        message: Message = {"type": ""}
        while message["type"] != "http.disconnect":
            message = await receive()

    try:
        await asyncio.wait_for(disconnected(), STILL_THERE_S)
    except TimeoutError:
        return False
    return True
