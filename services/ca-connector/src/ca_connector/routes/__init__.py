"""The internal HTTP API, as `contracts.ca_connector` lists it. Nothing here is public."""

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from ca_connector.dialog import Dialog
from ca_connector.parts import Parts
from ca_connector.routes import authorisations, certificate_authorities
from ca_connector.routes.refusals import REFUSALS
from ca_connector.routes.signatures import PATH, Signatures
from ca_connector.signing import Signing
from ca_connector.walking import Walking
from hosting.problems import install_problems
from hosting.service_tokens import TokenVerifier

MAX_BODY = 8 * 1024 * 1024  # a bulk call of a gateway


def internal_api(parts: Parts, verifier: TokenVerifier, walking: Walking, dialog: Dialog, signing: Signing) -> ASGIApp:
    """The routes, each for the services that it names."""
    app = FastAPI(title="Sinete CA connector", openapi_url=None)
    app.include_router(certificate_authorities.router(parts, verifier))
    app.include_router(authorisations.router(parts, verifier, walking, dialog))
    install_problems(app, REFUSALS, max_body=MAX_BODY)
    signatures = Signatures(verifier, signing, MAX_BODY)

    async def api(scope: Scope, receive: Receive, send: Send) -> None:
        signs = scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "POST"
        await (signatures if signs else app)(scope, receive, send)

    return api
