"""The demo client service, as `sinete sign` uses it where nobody says where to sign and as whom."""

from pathlib import Path
from typing import Any

from embedded.asking import ask
from embedded.state import State, write_private


def gateway_of(state: State) -> dict[str, Any]:
    """Options of `sinete sign`: over mTLS where the stack has a certificate for the demo client, else over the plain address.

    Raises CannotStart where no stack runs.
    """
    status = ask(state, "/status")
    gateway, demo = status["services"]["signing-gateway"], status["demo"]
    client, certificate = demo["client_service"], demo.get("client_certificate")
    secret = state.secrets("seeding") / "demo_client_secret"
    write_private(secret, client["client_secret"].encode())
    options: dict[str, Any] = {"client_id": client["client_id"], "secret_file": secret, "url": gateway["url"]}
    if certificate and gateway.get("https_url"):
        options |= {"url": gateway["https_url"], **{name: Path(certificate[name]) for name in ("cert", "key", "ca")}}
    return options
