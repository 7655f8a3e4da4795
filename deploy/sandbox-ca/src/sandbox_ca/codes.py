"""One-time passwords by SMS and the PIN, as the CA's own pages and its CSC interface ask for them."""

import secrets
from collections.abc import Awaitable, Callable
from hmac import compare_digest
from typing import Literal

from sandbox_ca.memory import Memory, digest

OTP_SECONDS = 120
ATTEMPTS = 5
SendSms = Callable[[str, str], Awaitable[None]]


class CodeRefused(Exception):
    """A code was not accepted; `left` attempts remain."""

    def __init__(self, which: Literal["OTP", "PIN"], why: Literal["wrong", "expired", "locked"], left: int = 0) -> None:
        super().__init__(f"{which} {why}")
        self.which, self.why, self.left = which, why, left


class Codes:
    """Sends and checks codes. An attempt is counted before it is checked, so that parallel guesses gain nothing."""

    def __init__(self, memory: Memory, pin: str, send_sms: SendSms) -> None:
        self._memory, self._pin, self._send_sms = memory, pin, send_sms

    async def send_otp(self, scope: str, to: str, ca: str, now: float) -> None:
        """Sends a new password, valid 2 minutes; raises CodeRefused when locked and OSError when the SMS cannot be sent."""
        if self._memory.otp_attempts(scope) >= ATTEMPTS:
            raise CodeRefused("OTP", "locked")
        otp = f"{secrets.randbelow(10**6):06d}"
        self._memory.put_otp(scope, otp, now + OTP_SECONDS)
        await self._send_sms(to, f"Sandbox CA {ca.upper()}: your one-time password is {otp}. It is valid for 2 minutes.")

    def check(self, scope: str, person: str, otp: str, pin: str, now: float) -> None:
        """Both codes right, or CodeRefused for the first that is not; a right pair cannot be used again."""
        if self.pin_is_locked(person):
            raise CodeRefused("PIN", "locked")
        self._check_otp(scope, otp, now)
        self._check_pin(person, pin)
        self._memory.drop_otp(scope)
        self._memory.pin_was_right(person)

    def pin_is_locked(self, person: str) -> bool:
        """Whether the PIN was wrong too often; final until unlocked by the sandbox's control."""
        return self._memory.wrong_pins(person) >= ATTEMPTS

    def _check_otp(self, scope: str, otp: str, now: float) -> None:
        kept = self._memory.attempt_otp(scope)
        if kept is None:
            raise CodeRefused("OTP", "wrong", ATTEMPTS)
        expected, expires, attempt = kept
        if attempt > ATTEMPTS:
            raise CodeRefused("OTP", "locked")
        right = compare_digest(expected, digest(otp.strip()))
        if right and now < expires:
            return
        if attempt == ATTEMPTS:
            raise CodeRefused("OTP", "locked")
        raise CodeRefused("OTP", "expired" if right else "wrong", ATTEMPTS - attempt)

    def _check_pin(self, person: str, pin: str) -> None:
        self._memory.count_pin(person)
        if compare_digest(digest(self._pin), digest(pin.strip())):
            return
        left = ATTEMPTS - self._memory.wrong_pins(person)
        raise CodeRefused("PIN", "wrong" if left > 0 else "locked", left)
