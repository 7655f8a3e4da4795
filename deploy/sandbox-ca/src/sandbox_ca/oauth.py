"""The OAuth2 server of one authority apart from its pages: metadata (RFC 8414), tokens, revocation (RFC 7009)."""

import base64
import binascii
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from hmac import compare_digest
from typing import Any
from urllib.parse import unquote_plus

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox_ca.forms import BadInput, read_form
from sandbox_ca.parts import Authority

CLIENT_ID = "sinete"
ACCESS_SECONDS = 3_600
REFRESH_SECONDS = 400 * 86_400
Endpoint = Callable[[Request], Awaitable[Response]]
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class OAuthRefused(Exception):
    """A refusal of the token or revocation endpoint (RFC 6749 §5.2)."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.error, self.description, self.status = error, description, status


def metadata(authority: Authority, ca: str) -> dict[str, Any]:
    """RFC 8414 §2."""
    issuer = authority.issuer(ca)
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth2/authorize",
        "token_endpoint": f"{issuer}/oauth2/token",
        "revocation_endpoint": f"{issuer}/oauth2/revoke",
        "scopes_supported": ["service"],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }


def check_client(authority: Authority, request: Request, form: Mapping[str, str]) -> None:
    """The platform's client id and secret, by Basic or in the body; raises `invalid_client`."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            name, secret = "", ""
        name, secret = unquote_plus(name), unquote_plus(secret)
    else:
        name, secret = form.get("client_id", ""), form.get("client_secret", "")
    right = compare_digest(secret.encode(), authority.settings.client_secret.encode())
    if name != CLIENT_ID or not right:
        raise OAuthRefused("invalid_client", "Client authentication failed.", 401)


def by_code(authority: Authority, ca: str, form: Mapping[str, str]) -> int:
    """The family that a code stands for. The code is used up whether or not the rest is right; a second use ends the family."""
    code = form.get("code", "")
    found = authority.memory.token("code", code)
    if found is None or found.ca != ca:
        raise OAuthRefused("invalid_grant", "The code is unknown.")
    if not authority.memory.use_up(code):
        authority.memory.revoke_family(found.family)
        raise OAuthRefused("invalid_grant", "The code was used before; what it gave is revoked.")
    if found.revoked or found.expires <= authority.now:
        raise OAuthRefused("invalid_grant", "The code is expired.")
    if form.get("redirect_uri") != found.bound["redirect_uri"]:
        raise OAuthRefused("invalid_grant", "The redirect_uri is not the one of the authorization request.")
    proof = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=").decode()
    if not compare_digest(proof, found.bound["code_challenge"]):
        raise OAuthRefused("invalid_grant", "The code_verifier does not match.")
    return found.family


def by_refresh_token(authority: Authority, ca: str, form: Mapping[str, str]) -> int:
    """The family of a refresh token, which is used up; one that was used before ends the family (RFC 9700 §4.14)."""
    token = form.get("refresh_token", "")
    found = authority.memory.token("refresh", token)
    if found is None or found.ca != ca:
        raise OAuthRefused("invalid_grant", "The refresh token is unknown.")
    if found.revoked:
        raise OAuthRefused("invalid_grant", "The refresh token is revoked.")
    if found.expires <= authority.now:
        raise OAuthRefused("invalid_grant", "Refresh token expired")
    if not authority.memory.use_up(token):
        authority.memory.revoke_family(found.family)
        raise OAuthRefused("invalid_grant", "The refresh token was used before; what came of it is revoked.")
    return found.family


GRANTS = {"authorization_code": by_code, "refresh_token": by_refresh_token}


def refusal(status: int, error: str, description: str) -> JSONResponse:
    """How both the OAuth2 and the CSC endpoints say no."""
    return JSONResponse({"error": error, "error_description": description}, status, NO_STORE)


def routes(authority: Authority) -> list[Route]:
    """The metadata at both places of RFC 8414 §3.1, the token and the revocation endpoint."""

    async def describe(request: Request) -> Response:
        return JSONResponse(metadata(authority, request.path_params["ca"]))

    async def token(request: Request) -> Response:
        form = await read_form(request)
        check_client(authority, request, form)
        grant_type = form.get("grant_type", "")
        if not grant_type:
            raise OAuthRefused("invalid_request", "Missing parameter grant_type")
        if grant_type not in GRANTS:
            raise OAuthRefused("unsupported_grant_type", "Only authorization_code and refresh_token are supported.")
        return JSONResponse(issued(authority, GRANTS[grant_type](authority, request.path_params["ca"], form)), headers=NO_STORE)

    async def revoke(request: Request) -> Response:
        form = await read_form(request)
        check_client(authority, request, form)
        end(authority, request.path_params["ca"], form.get("token", ""))
        return Response(status_code=204)

    well_known = "/.well-known/oauth-authorization-server"
    return [
        Route(f"/{{ca:ca}}{well_known}", describe),
        Route(f"{well_known}/{{ca:ca}}", describe),
        Route("/{ca:ca}/oauth2/token", refusing(token), methods=["POST"]),
        Route("/{ca:ca}/oauth2/revoke", refusing(revoke), methods=["POST"]),
    ]


def issued(authority: Authority, family: int) -> dict[str, Any]:
    """A new pair of tokens."""
    return {
        "access_token": authority.memory.issue("access", family, authority.now + ACCESS_SECONDS),
        "token_type": "Bearer",
        "expires_in": ACCESS_SECONDS,
        "refresh_token": authority.memory.issue("refresh", family, authority.now + REFRESH_SECONDS),
        "scope": "service",
    }


def end(authority: Authority, ca: str, token: str) -> None:
    """A refresh token ends with all of its family, an access token alone (CSC v2 §8.3); an unknown one is no error."""
    if not token:
        raise OAuthRefused("invalid_request", "Missing parameter token")
    refresh, access = authority.memory.token("refresh", token), authority.memory.token("access", token)
    if refresh and refresh.ca == ca:
        authority.memory.revoke_family(refresh.family)
    elif access and access.ca == ca:
        authority.memory.drop(token)


def refusing(endpoint: Endpoint) -> Endpoint:
    """The endpoint with its refusals told as RFC 6749 wants them."""

    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except OAuthRefused as refused:
            told = refusal(refused.status, refused.error, refused.description)
            if refused.status == 401:
                told.headers["WWW-Authenticate"] = 'Basic realm="sandbox"'
            return told
        except BadInput as bad:
            return refusal(bad.status, "invalid_request", bad.description)

    return answer
