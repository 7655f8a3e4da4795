"""The SMS gateway: `POST {"to", "text"}` with a bearer token."""

from dataclasses import dataclass, field

import msgspec

from hosting.exchanges import Exchanges, NoAnswer, NotSent, parted
from notifier.attempt import Later, Never, Outcome, Sent
from observability import calling

TIMEOUT_S = 15.0
MOST_BYTES = 1024 * 1024
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
        origin, path = parted(self.url)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        exchanges = Exchanges(origin, TIMEOUT_S, MOST_BYTES)
        try:
            with calling("POST SMS gateway"):
                status = (await exchanges.ask("POST", path, headers, msgspec.json.encode({"to": to, "text": text}))).status
        except NotSent as fault:
            return Later(f"the SMS gateway cannot be reached ({fault})")
        except NoAnswer as fault:
            return Later(f"the SMS gateway gave no answer ({fault})", unknown=True)
        finally:
            exchanges.close()
        if 200 <= status < 300:
            return Sent()
        reason = f"the SMS gateway answered {status}"
        return Never(reason) if 400 <= status < 500 and status not in MAY_PASS else Later(reason)
