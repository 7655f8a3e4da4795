"""Which access tokens are revoked, in memory: ids of tokens, and of logins whose tokens all are."""

from collections.abc import Callable, Mapping

from hosting import boottime

CONFIRMED_WITHIN = 10.0
"""Seconds. Who has not heard for longer what other gateways revoked lets no token pass."""


class Revoked:
    """Only ever grows, until a token would be over anyway."""

    def __init__(self, boottime: Callable[[], float] = boottime) -> None:
        self._ends: dict[str | None, float] = {}
        self._confirmed_at = float("-inf")
        self._boottime = boottime

    def __contains__(self, token_id: str | None) -> bool:
        """Whether the token or login with this id is revoked."""
        return token_id in self._ends

    def add(self, ends: Mapping[str, float]) -> None:
        """These are revoked; each with the instant, in seconds since 1970, from which on nobody need know it any more."""
        self._ends.update(ends)

    def confirm(self, begun_at: float, now: float) -> None:
        """All that was revoked before `begun_at` (boot time) has been added; what has ended at `now` is forgotten."""
        self._confirmed_at = max(self._confirmed_at, begun_at)
        for token_id in [token_id for token_id, ends in self._ends.items() if ends <= now]:
            del self._ends[token_id]

    def current(self) -> bool:
        """Whether it is known what was revoked until a moment ago."""
        return self._boottime() - self._confirmed_at <= CONFIRMED_WITHIN
