"""What is scripted to go wrong with the next mails. Kept in memory: a restart clears it."""

import asyncio
from collections import deque
from contextlib import suppress
from typing import Any

KINDS = ("4xx", "5xx", "hang")
ANSWERS = {"4xx": "451 4.3.0 Scripted mishap, try again later", "5xx": "554 5.3.0 Scripted mishap, refused for good"}
HOLD_S = 120


class Mishaps:
    """First ordered, first to happen; each DATA command takes one."""

    def __init__(self) -> None:
        self._pending: deque[str] = deque()
        self._cleared = asyncio.Event()

    def order(self, kind: str, count: int) -> None:
        """The next `count` mails, after those already ordered, meet this."""
        self._pending.extend([kind] * count)

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
        """Nothing is pending any more, and mails that hang are cut off."""
        self._pending.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()

    def next(self) -> str | None:
        """What the mail at hand meets."""
        return self._pending.popleft() if self._pending else None

    async def hold(self) -> None:
        """Waits until everything is cleared, 120 s at most."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._cleared.wait(), HOLD_S)
