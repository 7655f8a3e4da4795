"""The SMS gateway: `POST {"to", "text"}` with a bearer token."""

from dataclasses import dataclass, field

import aiohttp

from notifier.attempt import Later, Never, Outcome, Sent

TIMEOUT_S = 15
MAY_PASS = frozenset({401, 403, 408, 425, 429})  # our own credentials are wrong, or the gateway asks for patience


@dataclass(frozen=True)
class SmsGateway:
    """Where SMS go; an empty `url` means that there is none."""

    url: str
    token: str = field(repr=False)

    async def send(self, to: str, text: str) -> Outcome:
        """One SMS. A 4xx is final unless it is about us or about haste; no redirect is followed."""
        if not self.url:
            return Never("no SMS gateway is set: give SMS_URL")
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), trust_env=False) as session,
                session.post(
                    self.url,
                    json={"to": to, "text": text},
                    headers={"Authorization": f"Bearer {self.token}"},
                    allow_redirects=False,
                ) as answer,
            ):
                status = answer.status
        except aiohttp.ClientConnectorError as fault:
            return Later(type(fault).__name__)
        except (aiohttp.ClientError, OSError, TimeoutError) as fault:
            return Later(type(fault).__name__, unknown=True)
        if 200 <= status < 300:
            return Sent()
        reason = f"the SMS gateway answered {status}"
        return Never(reason) if 400 <= status < 500 and status not in MAY_PASS else Later(reason)
