"""How long a connection may lie idle: one timer for all its requests, since one for each answer costs a tenth of answering."""

import asyncio

from hosting.request_head import BoundedHead


class KeepsAlive(BoundedHead):
    """Ends a connection on which nothing came for uvicorn's `timeout_keep_alive` after an answer.

    It leans on a class that uvicorn does not promise: `tests/test_tls.py` says what of it.
    """

    _idle_since = 0.0
    _look: asyncio.TimerHandle | None = None
    """At which it is judged; None while there was no answer yet, or a request was under way at the last look."""

    def on_response_complete(self) -> None:
        """As uvicorn's, but for the timer."""
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._idle_since = self.loop.time()
        if self._look is None:
            self._look = self.loop.call_later(self.timeout_keep_alive, self._judge)

    def _judge(self) -> None:
        self._look = None
        if not self.cycle.response_complete or self.kept:
            return  # its answer begins anew, and an endless head is cut by itself
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._look = self.loop.call_later(left, self._judge)
        else:
            self.timeout_keep_alive_handler()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come."""
        if self._look is not None:
            self._look.cancel()
        super().connection_lost(exc)
