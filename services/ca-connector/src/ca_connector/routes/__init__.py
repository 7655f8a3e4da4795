"""The internal HTTP API, as `contracts.ca_connector` lists it. Nothing here is public."""

from fastapi import FastAPI

from ca_connector.dialog import Dialog
from ca_connector.parts import Parts
from ca_connector.routes import authorisations, certificate_authorities, signatures
from ca_connector.routes.refusals import REFUSALS
from ca_connector.signing import Signing
from ca_connector.walking import Walking
from hosting.problems import install_problems
from hosting.service_tokens import TokenVerifier

MAX_BODY = 8 * 1024 * 1024  # a bulk call of a gateway


def internal_api(parts: Parts, verifier: TokenVerifier, walking: Walking, dialog: Dialog, signing: Signing) -> FastAPI:
    """The routes, each for the services that it names."""
    app = FastAPI(title="Sinete CA connector", openapi_url=None)
    app.include_router(certificate_authorities.router(parts, verifier))
    app.include_router(authorisations.router(parts, verifier, walking, dialog))
    app.router.routes.append(signatures.route(verifier, signing))
    install_problems(app, REFUSALS, max_body=MAX_BODY)
    return app
