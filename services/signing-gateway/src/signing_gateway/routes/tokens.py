"""OAuth2 for client services: tokens (RFC 6749 §4.4), their revocation (RFC 7009), our keys, and our metadata (RFC 8414)."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from signing_gateway.access_refusals import GrantTypeUnsupported, ScopeInvalid
from signing_gateway.access_tokens import LIFETIME
from signing_gateway.assertions import ALGORITHMS
from signing_gateway.permission import KnownService
from signing_gateway.refusals import InvalidRequest
from signing_gateway.routes.access import Access
from signing_gateway.routes.addresses import Addresses
from signing_gateway.routes.answers import answer
from signing_gateway.routes.client_authentication import FORM, METHODS, ClientAuthentication, form_of
from signing_gateway.routes.door import SHOWN
from signing_gateway.routes.failed_logins import FailedLogins
from signing_gateway.storage.logins import Logins

HINTS = ("access_token", "refresh_token")
CLOCKS_APART = 60  # seconds that another gateway's clock may be ahead of ours


def takes(*required: str) -> dict[str, Any]:
    """A form for the OpenAPI document."""
    return {"requestBody": {"content": {FORM: {"schema": {"type": "object", "required": list(required)}}}}}


def token_routes(access: Access, logins: Logins, failed: FailedLogins, addresses: Addresses) -> APIRouter:
    """`/oauth2/…` and the metadata."""
    routes = APIRouter(tags=["oauth2"])
    clients = ClientAuthentication(access, logins, failed, addresses.audiences())

    @routes.post("/oauth2/token", response_model=None, openapi_extra=takes("grant_type"))
    async def token(request: Request) -> Response:
        """An access token for a client service, bound to the TLS client certificate it is asked for with (RFC 8705 §3)."""
        form = await form_of(request)
        service = await clients.client(request, form)
        if "grant_type" not in form:
            raise InvalidRequest("Missing parameter grant_type")
        if form["grant_type"] != "client_credentials":
            raise GrantTypeUnsupported("Only grant_type=client_credentials is supported.")
        if form.get("scope", "service") not in ("", "service"):
            raise ScopeInvalid("Only scope=service is supported.")
        return answer(
            {
                "access_token": access.tokens.issue(service, certificate=request.scope.get(SHOWN)),
                "token_type": "Bearer",
                "expires_in": int(LIFETIME.total_seconds()),
                "scope": "service",
            }
        )

    @routes.post("/oauth2/revoke", response_model=None, status_code=204, openapi_extra=takes("token"))
    async def revoke(request: Request) -> Response:
        """Ends an access or refresh token of the client service. One that is none, or another's, is as good as revoked."""
        form = await form_of(request)
        service = await clients.client(request, form)
        if not form.get("token"):
            raise InvalidRequest("Missing parameter token")
        await revoked(access, logins, service, form["token"])  # a hint we do not know is ignored (RFC 7009 §2.1)
        return Response(status_code=204, headers={"Cache-Control": "no-store"})

    @routes.get("/oauth2/jwks", response_model=None)
    async def jwks() -> Response:
        """The public key that verifies access tokens."""
        return answer(access.tokens.public_keys())

    @routes.get("/.well-known/oauth-authorization-server", response_model=None)
    async def metadata(request: Request) -> Response:
        """Where and how tokens are had at the address that was asked."""
        return answer(_about(addresses.used(request)))

    return routes


async def revoked(access: Access, logins: Logins, service: KnownService, token: str) -> bool:
    """Whether the token was one of the client service's: it holds no more. Nothing is done to another's."""
    claims = access.tokens.claims_of(token)
    if claims is not None:
        if claims.service_id == service.id:
            await logins.revoke(claims.id, claims.ends)
        return claims.service_id == service.id
    login = await logins.of(token)
    if login is None or login.client_service_id != service.id:
        return False
    await logins.end(login, (access.now() + LIFETIME).timestamp() + CLOCKS_APART)
    return True


def _about(issuer: str) -> dict[str, Any]:
    """RFC 8414 §2. There is no authorization endpoint, which OAuth2 spells `none`."""
    endpoint = {
        "token_endpoint_auth_methods_supported": METHODS,
        "token_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
    }
    return {
        "issuer": issuer,
        "token_endpoint": f"{issuer}/oauth2/token",
        "revocation_endpoint": f"{issuer}/oauth2/revoke",
        "jwks_uri": f"{issuer}/oauth2/jwks",
        "scopes_supported": ["service"],
        "response_types_supported": ["none"],
        "grant_types_supported": ["client_credentials"],
        **endpoint,
        **{name.replace("token", "revocation", 1): value for name, value in endpoint.items()},
        "tls_client_certificate_bound_access_tokens": True,
    }
