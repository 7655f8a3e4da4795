"""A number of places that many want, shared out so that whoever wants many leaves some to the others."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class Places:
    """At most `most`, `each` of one holder. A free one goes to who holds the fewest, of those to who got one longest ago."""

    def __init__(self, most: int, each: int | None = None) -> None:
        self._most, self._each = most, each or most
        self._held: Counter[Hashable] = Counter()
        self._waiting: dict[asyncio.Future[None], Hashable] = {}  # in the order they came
        self._given: dict[Hashable, int] = {}  # the number of the last place that each got, while it holds one or waits
        self._number = 0

    @asynccontextmanager
    async def of(self, who: Hashable) -> AsyncIterator[None]:
        """A place of `who`, once there is one."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting[turn] = who
        self._give()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                del self._waiting[turn]
                self._forget(who)
            else:  # it was given in the same moment
                self._leave(who)
            raise
        try:
            yield
        finally:
            self._leave(who)

    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def waiting_of(self, who: Hashable) -> int:
        """How many of `who` wait."""
        return list(self._waiting.values()).count(who)

    def _give(self) -> None:
        while self._held.total() < self._most:
            entitled = [turn for turn, who in self._waiting.items() if self._held[who] < self._each and not turn.cancelled()]
            if not entitled:
                return
            turn = min(entitled, key=lambda turn: self._rank(self._waiting[turn]))
            who = self._waiting.pop(turn)
            self._number += 1
            self._held[who] += 1
            self._given[who] = self._number
            turn.set_result(None)

    def _rank(self, who: Hashable) -> tuple[int, int]:
        return self._held[who], self._given.get(who, 0)

    def _leave(self, who: Hashable) -> None:
        self._held[who] -= 1
        self._give()
        self._forget(who)

    def _forget(self, who: Hashable) -> None:
        if not self._held[who]:
            del self._held[who]
            if who not in self._waiting.values():
                self._given.pop(who, None)
