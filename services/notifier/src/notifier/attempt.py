"""What came of trying to deliver something, and when to try again. Pure; all instants are the host's unmoved time."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

FIRST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(minutes=5)
GIVE_UP_AFTER = timedelta(hours=24)


@dataclass(frozen=True)
class Sent:
    """The other side took it."""


@dataclass(frozen=True)
class Later:
    """It was not taken now. `unknown`: the answer never came, so it may have been taken all the same."""

    reason: str
    unknown: bool = False


@dataclass(frozen=True)
class Never:
    """It will not be taken however often it is tried."""

    reason: str


Outcome = Sent | Later | Never


@dataclass(frozen=True)
class Again:
    """It is to be tried again at `at`."""

    at: datetime
    reason: str


def verdict(outcome: Outcome, *, attempts: int, due_since: datetime, host_now: datetime) -> Sent | Again | Never:
    """What follows from the outcome of attempt number `attempts`: the pause doubles from 1 s to 5 min, for a day in all."""
    if not isinstance(outcome, Later):
        return outcome
    if host_now - due_since >= GIVE_UP_AFTER:
        return Never(f"gave up after a day of trying: {outcome.reason}")
    return Again(host_now + min(FIRST_PAUSE * 2 ** min(attempts - 1, 20), LONGEST_PAUSE), outcome.reason)


_ADDRESS = re.compile(r"<?[^\s<>]+@[^\s<>]+>?")


def told_reason(answer: str) -> str:
    """A server's answer fit for events and logs: one line, at most 200 characters, no addresses."""
    line = " ".join("".join(c if c.isprintable() else " " for c in answer).split())
    return _ADDRESS.sub("…", line)[:200]
