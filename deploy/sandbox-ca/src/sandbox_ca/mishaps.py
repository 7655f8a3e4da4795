"""What is scripted to go wrong with the next signHash calls. Kept in memory: a restart clears it."""

import asyncio
from collections import deque
from typing import Any

KINDS = ("timeout", "error-5xx", "slow", "answer-lost", "wrong-order", "wrong-key", "token-revoked")
HOLD_S = 120
SLOW_S = 3


class Mishaps:
    """First ordered, first to happen; each call that is about to sign takes one."""

    def __init__(self) -> None:
        self._pending: deque[str] = deque()
        self._cleared = asyncio.Event()

    def order(self, kind: str, count: int) -> None:
        """The next `count` calls, after those already ordered, meet this."""
        self._pending.extend([kind] * count)

    def next(self) -> str | None:
        """What the call at hand meets."""
        return self._pending.popleft() if self._pending else None

    def pending(self) -> list[dict[str, Any]]:
        """What is still to come, in order, as {kind, count}."""
        runs: list[dict[str, Any]] = []
        for kind in self._pending:
            if runs and runs[-1]["kind"] == kind:
                runs[-1]["count"] += 1
            else:
                runs.append({"kind": kind, "count": 1})
        return runs

    def clear(self) -> None:
        """Nothing is pending any more, and the calls that hang end."""
        self._pending.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()

    async def hold(self, seconds: float) -> None:
        """Waits so long, or until everything is cleared."""
        cleared = self._cleared
        try:
            await asyncio.wait_for(cleared.wait(), seconds)
        except TimeoutError:
            return
