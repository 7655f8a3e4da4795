"""The rules of a walk to a CA and back: pure, `now` is an argument."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from contracts.ca_connector import AccessPolicy

Status = Literal["awaiting-ca", "awaiting-credential", "awaiting-authorisation", "completed", "failed", "cancelled"]
OPEN: frozenset[Status] = frozenset({"awaiting-ca", "awaiting-credential", "awaiting-authorisation"})

WALK_LIFE = timedelta(minutes=30)
EXCHANGE_LIFE = timedelta(minutes=2)
ANSWER_LIFE = timedelta(minutes=2)  # seeds 000 and 001: the authorisation code input is good for two minutes
MAX_ANSWERS = 4  # fewer than any CA's own lock (control 30)
ANSWERS_COUNT_FOR = timedelta(minutes=30)  # over all walks of a credential, until one of them ends well
MAX_CHALLENGES = 5


class AuthorisationUnknown(Exception):
    """No such walk."""


class AuthorityUnknown(Exception):
    """No such CA profile."""


class AuthorityInactive(Exception):
    """The CA profile is switched off."""


class CertificateUnknown(Exception):
    """No access was ever granted to this certificate here."""


class WalkDiffers(Exception):
    """The id is another walk's, or the certificate is another CA's."""


class NotNow(Exception):
    """The walk is at another step; `status` says at which."""

    def __init__(self, status: str) -> None:
        super().__init__(f"this walk is {status}: begin a new one or do what it asks for")
        self.walk_status = status


class CodeRefused(Exception):
    """The CA refused what was typed; `attempts_left` further answers may be given, after a new code where `reason` says so."""

    def __init__(self, reason: str, attempts_left: int) -> None:
        texts = {
            "wrong-otp": "The code is wrong.",
            "wrong-pin": "The PIN is wrong. Have a new code sent, and type both.",
            "wrong-codes": "Code or PIN is wrong. Have a new code sent, and type both.",
            "code-expired": "The code was good for 2 minutes. Have a new one sent.",
            "code-missing": "Both the code and the PIN that this CA asks for are needed.",
        }
        super().__init__(f"{texts[reason]} {attempts_left} attempts are left.")
        self.reason, self.attempts_left = reason, attempts_left


class TooManyChallenges(Exception):
    """No further code is sent in this walk."""


class StateForeign(Exception):
    """The state that came back is not this walk's."""


@dataclass(frozen=True)
class Ended:
    """A walk that is over without a grant."""

    status: Literal["failed", "cancelled"]
    reason: str


TOO_LATE = Ended("failed", "renewed-by-another-operator")


def expires_at(granted_at: datetime, policy: AccessPolicy, *, ca_end_s: int | None, not_after: datetime) -> datetime:
    """The earliest of the policy's end, the CA's own, and the certificate's."""
    ends = [granted_at + timedelta(seconds=policy.lifetime_s), not_after]
    if ca_end_s is not None and 0 < ca_end_s < policy.lifetime_s:
        ends.append(granted_at + timedelta(seconds=ca_end_s))
    return min(ends)


def ended_by_ca(error: str) -> Ended:
    """What an error in the CA's redirect means (RFC 6749 §4.1.2.1)."""
    if error == "access_denied":
        return Ended("cancelled", "access-denied")
    if error in {"server_error", "temporarily_unavailable"}:
        return Ended("failed", "ca-unavailable")
    return Ended("failed", "ca-refused")


def timed_out(status: Status, *, now: datetime, begun_at: datetime, exchanging_since: datetime | None) -> Ended | None:
    """A walk that stayed away too long, or whose exchange was cut by a crash."""
    if status not in OPEN:
        return None
    if exchanging_since is not None and now - exchanging_since > EXCHANGE_LIFE:
        return Ended("failed", "interrupted")
    if now - begun_at > WALK_LIFE:
        return Ended("failed", "timed-out")
    return None
