"""The head of an answer goes out with what comes first of its body: one packet, for which the reader is woken once.

ASGI asks a server for it ("must not start sending the response to the client until it has received at least one Response Body
event"); uvicorn writes the head at once, and uvloop sends what is written.
"""

import asyncio
from collections.abc import Callable

CONTINUE = b"HTTP/1.1 100 "


class HeadWithBody:
    """What one answer of uvicorn's is written to, in its transport's place."""

    __slots__ = ("_completed", "_head", "_transport")

    def __init__(self, transport: asyncio.Transport, completed: Callable[[], None]) -> None:
        self._transport, self._completed = transport, completed
        self._head: bytes | None = None  # None until it was written, and empty once it was sent

    def write(self, data: bytes) -> None:
        """The first data are the head, unless a client waits for them before it sends its body (RFC 9110 §10.1.1)."""
        if self._head is None and not data.startswith(CONTINUE):
            self._head = data
            return
        if self._head:
            data, self._head = self._head + data, b""
        self._transport.write(data)

    def completed(self) -> None:
        """The answer is whole: to a HEAD, or where an application failed, no body follows."""
        self._send_head()
        self._completed()

    def close(self) -> None:
        """Nothing more will come on this connection."""
        self._send_head()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection is on its end."""
        return self._transport.is_closing()

    def _send_head(self) -> None:
        if self._head:
            self._transport.write(self._head)
            self._head = b""
