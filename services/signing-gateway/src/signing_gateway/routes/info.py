"""`info` (CSC §11.1): what this service is and can do. Needs no token."""

import base64
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from signing_gateway.algorithms import ANNOUNCED
from signing_gateway.routes.addresses import Addresses
from signing_gateway.routes.answers import answer
from signing_gateway.routes.bodies import Info, documented, read
from signing_gateway.routes.papers import ENVELOPES

BOTH = [
    "credentials/authorize",
    "credentials/extendTransaction",
    "credentials/info",
    "credentials/list",
    "oauth2/revoke",
    "oauth2/token",
    "signatures/signHash",
]
METHODS = {
    "v1": ["auth/login", "auth/revoke", *BOTH, "credentials/sendOTP"],
    "v2": [*BOTH, "credentials/authorizeCheck", "credentials/getChallenge", "signatures/signDoc", "signatures/signPolling"],
}
LOGO = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAFklEQVR42mMwSJlHEmIY1TCqYfhqAABM4g4QrcyY+wAAAABJRU5ErkJggg=="
)


def info_routes(addresses: Addresses, *, version: str, timestamps: bool) -> APIRouter:
    """`info` of one version, and the logo it must link to. `timestamps`: whether there is an authority, which levels need."""
    routes = APIRouter(tags=[f"csc {version}"])

    @routes.post(f"/csc/{version}/info", response_model=None, openapi_extra=documented(Info))
    async def info(request: Request) -> Response:
        """What this service is and can do."""
        await read(request, Info)
        return answer(_about(addresses.used(request), version, timestamps=timestamps))

    @routes.get(f"/csc/{version}/logo.png", response_model=None, include_in_schema=False)
    async def logo() -> Response:
        return Response(LOGO, media_type="image/png", headers={"Cache-Control": "max-age=86400"})

    return routes


def _about(url: str, version: str, *, timestamps: bool) -> dict[str, Any]:
    """v1 §11.1, and what v2 adds."""
    about: dict[str, Any] = {
        "specs": {"v1": "1.0.4.0", "v2": "2.0.0.2"}[version],
        "name": "Sinete",
        "logo": f"{url}/csc/{version}/logo.png",
        "region": "PT",
        "lang": "en",
        "description": "Signs with remote certificates under the access grants of their owners",
        "authType": ["oauth2client"] if version == "v2" else ["basic", "oauth2client"],
        "methods": [*METHODS[version], *["signatures/timestamp"] * timestamps],
    }
    if version == "v1":
        return about | {"oauth2": url}
    # Clients take an issuer over https alone (RFC 8414 §2); CSC v2 §11.1 wants one of the two.
    oauth2 = "oauth2Issuer" if url.startswith("https:") else "oauth2"
    return about | {
        oauth2: url,
        "asynchronousOperationMode": True,
        "validationInfo": True,
        "signAlgorithms": {"algos": ANNOUNCED, "algoParams": []},
        "signature_formats": {"formats": list(ENVELOPES), "envelope_properties": [list(names) for names in ENVELOPES.values()]},
        "conformance_levels": ["Ades-B-B", *["Ades-B-T", "Ades-B-LT"] * timestamps],
        "supportedHashTypes": ["sodr"],  # the hash as it is given
    }
