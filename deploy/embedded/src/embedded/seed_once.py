"""Makes the demo account of a stack and remembers it: `python -m embedded.seed_once STATE PORT_BASE`.

A process of its own, so that `sinete down` can end it at any moment.
"""

import asyncio
import os
import sys
import traceback
from pathlib import Path

from embedded import keys, plan
from embedded.plan import Addresses
from embedded.ports import Ports
from embedded.seeding import Place, seed
from embedded.state import State, write_json
from embedded.walk import CaUser

ADMINISTRATOR = "administrator@sinete.example"


def administrator_token(at: Addresses) -> str:
    """The administrator's API token, which never expires; made the first time."""
    token = at.state.secrets("seeding") / "administrator_token"
    if not (token.exists() and token.stat().st_size):
        at.run("certificate-registry", "create-administrator", "--email", ADMINISTRATOR, "--token-file", str(token))
    return token.read_text(encoding="utf-8").strip()


def place(at: Addresses) -> Place:
    """What the seeding may use of the stack."""

    def secret(name: str) -> str:
        return (at.state.secrets("sandbox-ca") / name).read_text(encoding="ascii").strip()

    return Place(
        registry_url=at.service("certificate-registry"),
        sandbox_ca_url=at.sandbox_ca,
        mailbox_url=at.mailbox,
        administrator_token=administrator_token(at),
        ca_client_secret=secret("client_secret"),
        ca_user=CaUser(plan.USER_NAME, secret("user_password"), secret("user_pin")),
        secrets=at.state.secrets("seeding"),
        gateway_certificate=keys.gateway_certificate(at.state)[0],
    )


def main() -> None:
    """See the module. The last line it prints says what went wrong."""
    state, base = State(Path(sys.argv[1])), int(sys.argv[2])
    at = Addresses(state, Ports(base), os.environ["KAFKA_BOOTSTRAP"], os.environ["DATABASE_URL"])
    try:
        write_json(state.demo, asyncio.run(seed(place(at))))
    except Exception as error:  # noqa: BLE001  (the last line of the log is what the supervisor tells)
        traceback.print_exc()
        sys.exit(f"{type(error).__name__}: {error}".replace("\n", " "))


if __name__ == "__main__":
    main()
