"""Why a call did not bring what was asked for. Each says whether anything may have been signed and whether trying again helps."""

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
    """The gateway answered with a refusal. `error` is the API's word, `word` Sinete's finer one (docs/errors.md).

    Nothing was signed, except where OutcomeUnknown leaves it open. `facts` are the answer's further members, as `left`.
    """

    def __init__(self, status: int, body: Mapping[str, Any], retry_after: float | None) -> None:
        self.error, self.description = _text(body, "error") or str(status), _text(body, "error_description")
        super().__init__(self.description or f"the gateway answered {status}, {self.error}")
        self.status, self.word, self.retry_after = status, _text(body, "sinete_error"), retry_after
        self.facts = {name: value for name, value in body.items() if name not in {"error", "error_description", "sinete_error"}}


class NotAuthenticated(Refused):
    """Client id, secret, key, certificate or access token do not hold (401)."""


class NotPermitted(Refused):
    """Somebody has to do something first: renew the grant, activate the service, unsuspend the account (403)."""


class WouldExceedLimit(NotPermitted):
    """The request needs more signatures than the grant has left."""

    @property
    def left(self) -> int | None:
        """Signatures that are left, where the gateway said so."""
        value = self.facts.get("left")
        return value if isinstance(value, int) else None


class TryAgainLater(Refused):
    """It passes by itself: send the same call again after `retry_after` seconds (429, 503, or 409: still under way)."""


class OutcomeUnknown(Refused):
    """Signatures may have been made; none is released and the attempt stays charged. A new attempt is charged anew."""


BY_WORD: dict[str, type[Refused]] = {
    "would-exceed-limit": WouldExceedLimit,
    "outcome-unknown": OutcomeUnknown,
    "signed-not-delivered": OutcomeUnknown,  # charged, and charged again by every new attempt
}
BY_STATUS: dict[int, type[Refused]] = {
    401: NotAuthenticated,
    403: NotPermitted,
    409: TryAgainLater,
    429: TryAgainLater,
    503: TryAgainLater,
}


def refusal(status: int, headers: Mapping[str, str], body: Mapping[str, Any]) -> Refused:
    """The exception for an answer that is no success, by its word, then its status."""
    waits = headers.get("retry-after", "")
    kind = BY_WORD.get(_text(body, "sinete_error")) or BY_STATUS.get(status, Refused)
    return kind(status, body, float(waits) if waits.isdecimal() else None)


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""
