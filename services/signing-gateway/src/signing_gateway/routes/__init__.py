"""The public HTTP surface: OAuth2 tokens (RFC 6749) and the CSC API in its versions 2 and 1, one module per noun."""

from fastapi import FastAPI

from signing_gateway.routes.access import Access
from signing_gateway.routes.addresses import Addresses
from signing_gateway.routes.answers import install_answers
from signing_gateway.routes.authorization import authorization_routes, challenge_routes
from signing_gateway.routes.credentials import credential_routes
from signing_gateway.routes.direct import DirectRoutes
from signing_gateway.routes.documents import DocumentRoutes, Documents
from signing_gateway.routes.door import Door
from signing_gateway.routes.failed_logins import FailedLogins
from signing_gateway.routes.info import info_routes
from signing_gateway.routes.login import login_routes
from signing_gateway.routes.once import Once
from signing_gateway.routes.placing import Placing
from signing_gateway.routes.polling import polling_routes
from signing_gateway.routes.signatures import signature_routes
from signing_gateway.routes.timestamps import timestamp_routes
from signing_gateway.routes.tokens import token_routes
from signing_gateway.signing import Signer
from signing_gateway.storage.logins import Logins


def api(
    access: Access,
    signer: Signer,
    placing: Placing,
    documents: Documents,
    logins: Logins,
    *,
    failed_logins: FailedLogins,
    addresses: Addresses,
    max_hashes: int,
) -> FastAPI:
    """The application clients reach. Its OpenAPI document is made by `api(...).openapi()` and is not served (ASVS 13.4.5)."""
    app = DirectRoutes(
        title="Sinete signing gateway", version="2.0.0.2", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    install_answers(app)
    app.include_router(token_routes(access, logins, failed_logins, addresses))
    app.include_router(login_routes(access, logins, failed_logins))
    stamps = documents.authority.offered
    for version in ("v2", "v1"):
        app.include_router(info_routes(addresses, version=version, timestamps=stamps))
        app.include_router(credential_routes(access, version=version, max_hashes=max_hashes))
        app.include_router(authorization_routes(access, placing.activations, version=version, max_hashes=max_hashes))
        app.include_router(challenge_routes(access, version=version))
        hashes = signature_routes(access, signer, placing, version=version, max_hashes=max_hashes)
        app.include_direct(hashes, f"/csc/{version}/signatures/signHash")
        if stamps:
            app.include_router(timestamp_routes(access, documents.authority, version=version))
    app.include_router(polling_routes(access, placing.orders))
    app.include_router(DocumentRoutes(access, placing.once, placing.activations, documents).routes())
    return app


__all__ = ["Access", "Addresses", "Documents", "Door", "FailedLogins", "Once", "Placing", "api"]
