"""A bound for what a client may send of a request before anything of it reaches an application."""

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from hosting.response_head import HeadWithBody
from observability import get_logger

log = get_logger(__name__)

MAX_HEAD = 64 * 1024
"""Bytes: the largest forwarded client certificate and token are a few thousand."""


WHOLE = "whole"
"""The scope's member that is there once the whole request has come, so that its body need not be waited for."""

HEAD_S = 30.0
"""Seconds from the first bytes of a head that does not come in one piece."""


class BoundedHead(HttpToolsProtocol):
    """Cuts the connection over a head, a trailer or a chunk's extension that has no end: its parser keeps any amount, for ever.

    It leans on a class that uvicorn does not promise: `tests/test_tls.py` says what of it.
    """

    kept = 0
    """Bytes since the parser last had something to show for them."""
    _until: asyncio.TimerHandle | None = None
    """When it must have; None while nothing is under way."""

    def data_received(self, data: bytes) -> None:
        """Counts what the parser keeps to itself."""
        self.kept += len(data)
        super().data_received(data)
        if not self.kept:  # as a rule a request comes in one piece
            self._forget_until()
        elif self.kept > MAX_HEAD:
            self._cut()
        elif self._until is None:
            self._until = self.loop.call_later(HEAD_S, self._cut)

    def _cut(self) -> None:
        if not self.transport.is_closing():
            log.warning("a connection was cut: its request's head has no end", client=str(self.client))
            self.transport.close()

    def _forget_until(self) -> None:
        if self._until is not None:
            self._until.cancel()
            self._until = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come."""
        self._forget_until()
        super().connection_lost(exc)

    def on_headers_complete(self) -> None:
        """A head is whole."""
        self.kept = 0
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:  # it is where a client wants another protocol
            answer = HeadWithBody(self.transport, self.on_response_complete)
            self.cycle.transport, self.cycle.on_response = answer, answer.completed  # type: ignore[assignment] # all it asks for

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self.kept = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """A request is whole."""
        self.kept = 0
        self.scope[WHOLE] = True  # type: ignore[literal-required] # a member of ours
        super().on_message_complete()
