"""Why a call did not bring what was asked for. Each says whether anything may have been signed and whether trying again helps."""

import re
from collections.abc import Mapping
from typing import Any


class SineteError(Exception):
    """The root of all errors of this library. `str()` says what happened and what to do, and holds no secret."""


class Misused(SineteError):
    """The library was given something it cannot work with: nothing was sent."""


class NotReached(SineteError):
    """The gateway certainly got nothing: no connection, or no TLS handshake."""


class NoAnswer(SineteError):
    """The call was sent and no answer came. With the same idempotency key it may be sent again and is counted once."""


class Unreadable(SineteError):
    """The answer is not what the API promises."""


class Refused(SineteError):
    """The gateway answered with a refusal: nothing was signed. `error` is the API's word, `reason` Sinete's finer one."""

    def __init__(self, status: int, error: str, description: str, reason: str | None, retry_after: float | None) -> None:
        super().__init__(description or error)
        self.status, self.error, self.description, self.reason, self.retry_after = status, error, description, reason, retry_after


class NotAuthenticated(Refused):
    """Client id, secret, key, certificate or access token do not hold (401)."""


class NotPermitted(Refused):
    """Somebody has to do something first: renew the grant, activate the service, unsuspend the account (403)."""


class WouldExceedLimit(NotPermitted):
    """The request needs more signatures than the grant has left."""

    @property
    def left(self) -> int | None:
        """Signatures that are left, where the gateway said so."""
        found = re.search(r"(\d+) left", self.description)
        return int(found[1]) if found else None


class TryAgainLater(Refused):
    """It passes by itself: send the same call again after `retry_after` seconds (429, 503, or 409: still under way)."""


class OutcomeUnknown(Refused):
    """Signatures may have been made; none is released and the attempt stays charged. A new attempt is charged anew."""


REASONS: dict[str, type[Refused]] = {"would-exceed": WouldExceedLimit, "outcome-unknown": OutcomeUnknown}
BY_STATUS: dict[int, type[Refused]] = {
    401: NotAuthenticated,
    403: NotPermitted,
    409: TryAgainLater,
    429: TryAgainLater,
    503: TryAgainLater,
}


def refusal(status: int, headers: Mapping[str, str], body: Mapping[str, Any]) -> Refused:
    """The exception for an answer that is no success, by its reason, then its status."""
    error, description, reason = (_text(body, name) for name in ("error", "error_description", "reason"))
    waits = headers.get("retry-after", "")
    kind = REASONS.get(reason) or BY_STATUS.get(status, Refused)
    if status >= 500 and kind is Refused:
        description = description or f"The gateway failed with status {status}."
    return kind(status, error or str(status), description, reason or None, float(waits) if waits.isdecimal() else None)


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""
