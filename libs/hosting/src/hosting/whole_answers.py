"""An answer that is there as a whole goes out as a whole: one TLS record and one write, where ASGI's messages make two each."""

from collections.abc import Callable, Iterable
from typing import Any

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from hosting.keep_alive import KeepsAlive
from observability.http import ANSWERED

EXTENSION = "sinete.whole_answer"
"""The member of the scope's `extensions` that answers; servers that have none get ASGI's messages."""

Headers = Iterable[tuple[bytes, bytes]]
Whole = Callable[[Scope, int, Headers, bytes], bool]


class AnswersWhole(KeepsAlive):
    """Offers `answer_whole` to applications.

    It leans on classes that uvicorn does not promise: `tests/test_tls.py` says what of them.
    """

    _extensions: dict[str, Any]

    def connection_made(self, transport: Any) -> None:
        """One mapping serves every request of the connection."""
        super().connection_made(transport)
        self._extensions = {EXTENSION: self.answer_whole}

    def on_message_begin(self) -> None:
        """A request begins: its scope is there."""
        super().on_message_begin()
        self.scope["extensions"] = self._extensions

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is answered any more; what refers to this connection is let go."""
        super().connection_lost(exc)
        self._extensions = {}
        if self.cycle is None or self.cycle.response_complete:  # else who still works on it needs them
            # They refer to this connection: as a ring they would wait for the cycle collector, which after some thousands of
            # connections stops everybody for a second.
            self.cycle = self.transport = self.flow = self.scope = None  # type: ignore[assignment]

    def answer_whole(self, scope: Scope, status: int, headers: Headers, body: bytes) -> bool:
        """Answers the request of `scope`; False, and nothing done, where it takes ASGI's messages.

        That is when a later request was read already, when the client is slow to read or gone, and when the connection is to end.
        `headers`: lower-case names, the length among them.
        """
        cycle = self.cycle
        if (
            cycle.scope is not scope
            or cycle.response_started
            or cycle.disconnected
            or cycle.waiting_for_100_continue
            or not cycle.keep_alive
            or self.flow.write_paused
        ):
            return False
        cycle.response_started = cycle.response_complete = True
        parts = [STATUS_LINE[status]]
        for name, value in self.server_state.default_headers:
            parts += name, b": ", value, b"\r\n"
        for name, value in headers:
            parts += name, b": ", value, b"\r\n"
        parts += b"\r\n", body
        self.transport.write(b"".join(parts))
        scope[ANSWERED] = status  # type: ignore[literal-required] # a member of ours
        cycle.on_response()
        return True
