"""Which CAs are not called for a moment: those that cannot be reached, and those that asked for a pause."""

from uuid import UUID

from hosting import boottime

BREAK_AFTER, BREAK_S = 5, 2.0
LONGEST_PAUSE_S = 60.0


class Breaker:
    """Counts per CA."""

    def __init__(self) -> None:
        self._missed: dict[UUID, int] = {}
        self._closed_until: dict[UUID, tuple[float, str]] = {}

    def missed(self, authority_id: UUID) -> None:
        """The CA could not be reached: from the fifth time in a row on it is left alone for a while."""
        self._missed[authority_id] = count = self._missed.get(authority_id, 0) + 1
        if count >= BREAK_AFTER:
            self._closed_until[authority_id] = boottime() + BREAK_S, "the CA cannot be reached"

    def paused(self, authority_id: UUID, seconds: float) -> None:
        """The CA asked to be left alone (RFC 6585 §4)."""
        until = boottime() + min(max(seconds, 0.0), LONGEST_PAUSE_S)
        self._closed_until[authority_id] = until, "the CA asked for a pause"

    def reached(self, authority_id: UUID) -> None:
        """The CA answered."""
        if self._missed:
            self._missed.pop(authority_id, None)

    def reason(self, authority_id: UUID) -> str | None:
        """Why the CA is not called now; None when it may be."""
        if not self._closed_until:
            return None
        until, why = self._closed_until.get(authority_id, (0.0, ""))
        return why if boottime() < until else None
