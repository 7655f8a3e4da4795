"""Which access tokens are revoked, in memory: ids of tokens, and of logins whose tokens all are."""

import heapq
from collections.abc import Callable, Mapping

from hosting import boottime

CONFIRMED_WITHIN = 10.0
"""Seconds. Who has not heard for longer what other gateways revoked lets no token pass."""


class Revoked:
    """Each is kept until the token, or the last token of the login, would be over anyway."""

    def __init__(self, boottime: Callable[[], float] = boottime) -> None:
        self._ids: set[str | None] = set()
        self._by_end: list[tuple[float, str]] = []  # a heap
        self._confirmed_at = float("-inf")
        self._boottime = boottime

    def __contains__(self, token_id: str | None) -> bool:
        """Whether the token or login with this id is revoked."""
        return token_id in self._ids

    def add(self, ends: Mapping[str, float]) -> None:
        """These are revoked; each with the instant, in seconds since 1970, from which on nobody need know it any more."""
        for token_id, end in ends.items():
            if token_id not in self._ids:
                self._ids.add(token_id)
                heapq.heappush(self._by_end, (end, token_id))

    def confirm(self, begun_at: float, now: float) -> None:
        """All that was revoked before `begun_at` (boot time) has been added; what has ended at `now` is forgotten."""
        self._confirmed_at = max(self._confirmed_at, begun_at)
        while self._by_end and self._by_end[0][0] <= now:
            self._ids.remove(heapq.heappop(self._by_end)[1])

    def current(self) -> bool:
        """Whether it is known what was revoked until a moment ago."""
        return self._boottime() - self._confirmed_at <= CONFIRMED_WITHIN
