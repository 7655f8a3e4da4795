"""Ending a connection without an answer, as a crash would: no ASGI server offers that."""

import asyncio
from collections.abc import Callable
from typing import cast

from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

EXTENSION = "sandbox.close"


class CuttableProtocol(HttpToolsProtocol):
    """uvicorn's, with the connection's `close` in `scope["extensions"]`."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn narrows it
        """Wraps the application for this connection."""
        super().connection_made(transport)
        app = self.app

        async def with_close(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[EXTENSION] = transport.close
            await app(scope, receive, send)

        self.app = with_close


class Cut(Response):
    """No answer: the connection closes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Closes, and waits until the server has noticed, so that it sends nothing."""
        _ = send
        cast("Callable[[], None]", scope["extensions"][EXTENSION])()
        while (await receive())["type"] != "http.disconnect":
            pass
