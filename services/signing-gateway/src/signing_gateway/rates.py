"""How much of something anybody may do in a minute, so that who runs wild leaves room for the others. One gateway's own count.

A bucket holds a minute's requests and fills steadily. All that is kept of it is the instant at which it will be full again (the
generic cell rate algorithm): one number for each that is counted, and of no more than so many.
"""

from collections.abc import Hashable
from math import ceil

from signing_gateway.refusals import RateExceeded

WINDOW_S = 60
HAIR = 1e-4  # a bucket that is empty but for rounding is not empty; enough for a host that is up a year

Headers = list[tuple[bytes, bytes]]


class Rates:
    """The buckets, each `of` something. A request costs one, however many hashes it carries: the access grant counts those."""

    def __init__(
        self, per_minute: int, of: str = "client-service", *, refusal: type[RateExceeded] = RateExceeded, most: int = 100_000
    ) -> None:
        self._each = WINDOW_S / per_minute
        self._full_at: dict[Hashable, float] = {}
        self._refusal, self._most = refusal, most
        self._policy = (b"ratelimit-policy", b'"%b";q=%d;w=%d' % (of.encode(), per_minute, WINDOW_S))
        self._rest = b'"' + of.encode() + b'";r=%d;t=%d'

    def spend(self, who: Hashable, at: float) -> Headers:
        """Takes one of the bucket of `who` at `at`, seconds of a clock that is never set back; what to tell of the rest.

        Raises RateExceeded when there is none, with what to tell; asking in vain costs nothing.
        """
        before = max(self._full_at.get(who, at) - at, 0.0)
        full_in = before + self._each
        if full_in > WINDOW_S + HAIR:
            raise self._refusal(ceil(full_in - WINDOW_S), self._told(before))
        self._full_at[who] = at + full_in
        if len(self._full_at) > self._most:
            self._forget()
        return self._told(full_in)

    def look(self, who: Hashable, at: float) -> None:
        """Raises RateExceeded as `spend` would, and takes nothing."""
        before = self._full_at.get(who, at) - at
        if before + self._each > WINDOW_S + HAIR:
            raise self._refusal(ceil(before + self._each - WINDOW_S), self._told(before))

    def _forget(self) -> None:
        """Half of the buckets, those that are the first to be full: who comes from everywhere at once takes no memory."""
        by_end = sorted(self._full_at.items(), key=lambda each: each[1])
        self._full_at = dict(by_end[len(by_end) // 2 :])

    def _told(self, full_in: float) -> Headers:
        """`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): `r` left, all again in `t` seconds."""
        left = (WINDOW_S - full_in) / self._each + HAIR
        return [self._policy, (b"ratelimit", self._rest % (left, ceil(full_in)))]
