"""HTTP: the operators' API under /api/v1, and the pages around the walk to a CA."""

from fastapi import APIRouter, Depends, FastAPI, Request
from starlette.types import ASGIApp

from certificate_registry.routes import (
    accounts,
    callback,
    certificate_authorities,
    certificates,
    client_ca,
    client_certificates,
    client_services,
    front,
    operators,
    records,
    registrations,
    renewals,
    retrieval,
    tokens,
)
from certificate_registry.routes.parts import Operator, Parts, known_query_only
from certificate_registry.routes.refusals import install_refusals
from certificate_registry.routes.shield import Shield

__all__ = ["Parts", "http"]


def http(parts: Parts) -> ASGIApp:
    """The public ASGI app."""
    app = FastAPI(
        title="Sinete certificate registry", version="1", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.parts = parts
    api = APIRouter(prefix="/api/v1", dependencies=[Depends(known_query_only)])
    for router in (
        tokens.login,
        accounts.router,
        operators.router,
        tokens.router,
        registrations.begin_router,
        certificates.router,
        renewals.begin_router,
        registrations.router,
        renewals.router,
        client_services.router,
        client_certificates.router,
        certificate_authorities.router,
        records.notices,
        records.audit_trail,
    ):
        api.include_router(router)

    @api.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request, _: Operator) -> dict[str, object]:
        """The description of this API, for operators only (ASVS 13.4.5)."""
        described: FastAPI = request.app
        return described.openapi()

    app.include_router(api)
    app.include_router(client_ca.router)
    app.include_router(retrieval.router)
    app.include_router(callback.router)
    app.include_router(front.router)
    install_refusals(app)
    return Shield(app, https=parts.https)
