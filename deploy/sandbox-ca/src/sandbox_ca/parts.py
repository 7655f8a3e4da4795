"""What the handlers share: one object with the CA's keys, memory, journal, clock and mishaps."""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import aiohttp
from cryptography import x509

from sandbox_ca.credentials import Credential
from sandbox_ca.issuers import Issuer
from sandbox_ca.journal import Journal
from sandbox_ca.memory import Memory
from sandbox_ca.settings import Settings

MishapKind = Literal["timeout", "error-5xx", "slow", "answer-lost", "wrong-order", "wrong-key", "token-revoked"]
KINDS: tuple[MishapKind, ...] = ("timeout", "error-5xx", "slow", "answer-lost", "wrong-order", "wrong-key", "token-revoked")
OTP_LIFE_S = 120
SMS_FAILED = (aiohttp.ClientError, TimeoutError)
MAX_ATTEMPTS = 5


class Mishaps:
    """What shall go wrong with the next calls of signHash, first told first done."""

    def __init__(self) -> None:
        self.waiting: list[MishapKind] = []
        self._cleared = asyncio.Event()

    def add(self, kind: MishapKind, count: int) -> None:
        """The next `count` calls suffer `kind`."""
        self.waiting += [kind] * count

    def take(self) -> MishapKind | None:
        """What happens to this call."""
        return self.waiting.pop(0) if self.waiting else None

    def clear(self) -> None:
        """Nothing more goes wrong, and calls that hang are let go."""
        self.waiting.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()

    async def hang(self, seconds: float) -> None:
        """Waits until cleared, `seconds` at most."""
        try:
            await asyncio.wait_for(self._cleared.wait(), seconds)
        except TimeoutError:
            return


@dataclass
class Authority:
    """Both CAs. `now` is seconds since the epoch by the injected clock."""

    settings: Settings
    clock: Callable[[], datetime]
    memory: Memory
    journal: Journal
    issuers: Mapping[str, Issuer]
    credentials: Mapping[str, Credential]
    mishaps: Mishaps = field(default_factory=Mishaps)
    tsa_away: bool = False
    """Whether the timestamp authorities answer 503; told by `POST /sandbox/timestamps`."""

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self.clock().timestamp()

    @property
    def at(self) -> str:
        """Now, as the journal and the pages show it."""
        return self.clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def leaf(self, ca: str, serial_number: int) -> x509.Certificate | None:
        """The certificate with this serial number that the issuing CA made, or None."""
        made = [c.leaf for c in self.credentials.values() if c.plan.ca == ca] + [self.issuers[ca].timestamp_certificate]
        return next((each for each in made if each.serial_number == serial_number), None)

    def issuer(self, ca: str) -> str:
        """The CA's OAuth2 issuer."""
        return f"{self.settings.public_url}/{ca}"

    def owned(self, ca: str, person: str) -> list[Credential]:
        """The credentials that a person has at a CA."""
        owner = "demo" if person == self.settings.user_name else "other"
        return [c for c in self.credentials.values() if (c.plan.ca, c.plan.owner) == (ca, owner)]

    async def send_otp(self, scope: str) -> None:
        """A new one-time password by SMS, good for two minutes; raises SMS_FAILED."""
        otp = f"{secrets.randbelow(1_000_000):06d}"
        self.memory.put_otp(scope, otp, self.now + OTP_LIFE_S)
        text = f"Sandbox CA: your code is {otp}. It is good for 2 minutes. Never tell it to anyone."
        if not self.settings.sms_url:
            return
        headers = {"Authorization": f"Bearer {self.settings.sms_token}"}
        timeout = aiohttp.ClientTimeout(total=5)
        body = {"to": self.settings.user_mobile, "text": text}
        async with (
            aiohttp.ClientSession(headers=headers, timeout=timeout) as session,
            session.post(self.settings.sms_url, json=body) as answer,
        ):
            answer.raise_for_status()
