"""`POST /csc/v2/info` (CSC v2 §11.1): what this service is and can do. Needs no token."""

import base64
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from signing_gateway.algorithms import ANNOUNCED
from signing_gateway.routes.answers import answer
from signing_gateway.routes.bodies import Info, documented, read

METHODS = ["oauth2/token", "credentials/list", "credentials/info", "signatures/signHash"]
LOGO = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAFklEQVR42mMwSJlHEmIY1TCqYfhqAABM4g4QrcyY+wAAAABJRU5ErkJggg=="
)


def info_routes(public_url: str) -> APIRouter:
    """`info`, and the logo it must link to."""
    routes = APIRouter(tags=["csc"])
    about: dict[str, Any] = {
        "specs": "2.0.0.2",
        "name": "Sinete",
        "logo": f"{public_url}/csc/v2/logo.png",
        "region": "PT",
        "lang": "en",
        "description": "Signs with remote certificates under the access grants of their owners",
        "authType": ["oauth2client"],
        "oauth2": public_url,
        "methods": METHODS,
        "asynchronousOperationMode": False,
        "validationInfo": False,
        "signAlgorithms": {"algos": ANNOUNCED, "algoParams": []},
        "signature_formats": {"formats": [], "envelope_properties": []},  # signDoc is not offered
        "conformance_levels": [],
        "supportedHashTypes": ["sodr"],  # the hash as it is given
    }

    @routes.post("/csc/v2/info", response_model=None, openapi_extra=documented(Info))
    async def info(request: Request) -> Response:
        """What this service is and can do."""
        await read(request, Info)
        return answer(about)

    @routes.get("/csc/v2/logo.png", response_model=None, include_in_schema=False)
    async def logo() -> Response:
        return Response(LOGO, media_type="image/png", headers={"Cache-Control": "max-age=86400"})

    return routes
