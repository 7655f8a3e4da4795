"""One-time passwords by SMS and the PIN, as the CA's own pages and its CSC interface check them.

An attempt is counted before it is checked, so that parallel guesses gain nothing.
"""

from dataclasses import dataclass
from hmac import compare_digest
from typing import Literal

from sandbox_ca.memory import digest
from sandbox_ca.parts import MAX_ATTEMPTS, Authority

OTHER_PERSON = "joao.costa"


@dataclass(frozen=True)
class Refused:
    """A code was not accepted. `final`: no further attempt is looked at."""

    what: Literal["otp", "pin"]
    reason: str
    attempts_left: int

    @property
    def final(self) -> bool:
        """Whether it is locked."""
        return self.attempts_left <= 0


def password_is_right(authority: Authority, person: str, password: str) -> bool:
    """Whether somebody of that name has this password."""
    right = compare_digest(password.encode(), authority.settings.user_password.encode())
    return right and person in (authority.settings.user_name, OTHER_PERSON)


def refused_otp(authority: Authority, scope: str, otp: str) -> Refused | None:
    """None when it is the one sent last for `scope`, within its time; it is then used up."""
    kept = authority.memory.attempt_otp(scope)
    if kept is None:
        return Refused("otp", "No code was sent; ask for one.", MAX_ATTEMPTS)
    expected, expires, attempt = kept
    left = MAX_ATTEMPTS - attempt
    right = attempt <= MAX_ATTEMPTS and compare_digest(expected, digest(otp.strip()))
    if right and authority.now < expires:
        authority.memory.drop_otp(scope)
        return None
    if left <= 0:
        return Refused("otp", "OTP locked", 0)
    fault = "The code is expired; ask for a new one." if right else "The code is wrong."
    return Refused("otp", f"{fault} Attempts left: {left}.", left)


def refused_pin(authority: Authority, person: str, pin: str) -> Refused | None:
    """None when it is right. Wrong too often it stays locked until the sandbox's control unlocks it."""
    if authority.memory.wrong_pins(person) >= MAX_ATTEMPTS:
        return Refused("pin", "PIN locked", 0)
    authority.memory.count_pin(person)
    if compare_digest(pin.strip().encode(), authority.settings.user_pin.encode()):
        authority.memory.pin_was_right(person)
        return None
    left = MAX_ATTEMPTS - authority.memory.wrong_pins(person)
    return Refused("pin", f"The PIN is wrong. Attempts left: {left}." if left > 0 else "PIN locked", left)
