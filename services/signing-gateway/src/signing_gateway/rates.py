"""How many requests a client service may send, so that one that runs wild leaves room for the others. One gateway's own count.

A bucket holds a minute's requests and fills steadily. All that is kept of it is the instant at which it will be full again (the
generic cell rate algorithm): one number for each client service.
"""

from math import ceil
from uuid import UUID

from signing_gateway.refusals import RateExceeded

WINDOW_S = 60
HAIR = 1e-4  # a bucket that is empty but for rounding is not empty; enough for a host that is up a year

Headers = list[tuple[bytes, bytes]]


class Rates:
    """The buckets. A request costs one, however many hashes it carries: their number is the access grant's concern."""

    def __init__(self, per_minute: int) -> None:
        self._each = WINDOW_S / per_minute
        self._full_at: dict[UUID, float] = {}
        self._policy = (b"ratelimit-policy", b'"client-service";q=%d;w=%d' % (per_minute, WINDOW_S))

    def spend(self, client_service_id: UUID, at: float) -> Headers:
        """Takes one at `at`, seconds of a clock that is never set back; what to tell the client of the rest.

        Raises RateExceeded when there is none, with what to tell; asking in vain costs nothing.
        """
        before = max(self._full_at.get(client_service_id, at) - at, 0.0)
        full_in = before + self._each
        if full_in > WINDOW_S + HAIR:
            raise RateExceeded(ceil(full_in - WINDOW_S), self._told(before))
        self._full_at[client_service_id] = at + full_in
        return self._told(full_in)

    def _told(self, full_in: float) -> Headers:
        """`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10): `r` left, all again in `t` seconds."""
        left = (WINDOW_S - full_in) / self._each + HAIR
        return [self._policy, (b"ratelimit", b'"client-service";r=%d;t=%d' % (left, ceil(full_in)))]
