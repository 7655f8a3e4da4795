"""Version 1's `auth/login` and `auth/revoke` (CSC 1.0.4 §11.2, §11.3): HTTP Basic, and a refresh token for who asks for one."""

from datetime import timedelta
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from signing_gateway.access_refusals import CertificateNeeded, ClientUnknown, LoginFailed, LoginMalformed, RefreshTokenUnknown
from signing_gateway.access_tokens import LIFETIME
from signing_gateway.permission import KnownService
from signing_gateway.refusals import InvalidRequest
from signing_gateway.routes.access import Access
from signing_gateway.routes.answers import answer
from signing_gateway.routes.bodies import documented, read
from signing_gateway.routes.client_authentication import basic
from signing_gateway.routes.door import SHOWN
from signing_gateway.routes.failed_logins import FailedLogins
from signing_gateway.routes.tokens import HINTS, revoked
from signing_gateway.storage.logins import Login, Logins, new_login

REMEMBERED = timedelta(days=30)


class LogIn(msgspec.Struct, frozen=True):
    """`auth/login`."""

    refresh_token: str | None = None
    remember_me: bool | None = msgspec.field(default=None, name="rememberMe")


class Revoke(msgspec.Struct, frozen=True):
    """`auth/revoke`."""

    token: str
    token_type_hint: str | None = None


class Entrance:
    """Logs client services in, with their TLS client certificate if with any, and answers what they are given.

    It costs one request of their rate.
    """

    def __init__(self, access: Access, logins: Logins, failed: FailedLogins) -> None:
        self._access, self._logins, self._failed = access, logins, failed

    async def by_secret(self, request: Request, authorization: str, *, remember: bool) -> dict[str, Any]:
        """For client id and secret by HTTP Basic. Raises LoginMalformed or LoginFailed."""
        shown, credentials = request.scope.get(SHOWN), basic(authorization)
        with self._failed.counted(request, credentials[0] if credentials else None):
            if credentials is None:
                raise LoginMalformed
            try:
                service = self._access.log_in(*credentials)
            except ClientUnknown:
                raise LoginFailed from None
        self._access.identified(service, shown)
        self._access.spend(request, service)
        if not remember:
            return self._given(service, shown, None)
        ends_at = self._access.now() + REMEMBERED
        login = new_login(service.id, service.secret_digest, by_certificate=shown is not None, ends_at=ends_at)
        refresh_token = await self._logins.remember(login)
        return {**self._given(service, shown, login), "refresh_token": refresh_token}

    async def by_refresh_token(self, request: Request, refresh_token: str) -> dict[str, Any]:
        """For a refresh token. One that was given over TLS with a client certificate needs one of the same service."""
        shown = request.scope.get(SHOWN)
        with self._failed.counted(request, None, costly=True):
            login = await self._logins.of(refresh_token)
            service = self._access.of_login(login.client_service_id, login.secret_digest) if login and not login.revoked else None
            if login is None or service is None:
                raise RefreshTokenUnknown
        if login.by_certificate and shown is None:
            raise CertificateNeeded
        self._access.identified(service, shown)
        self._access.spend(request, service)
        return self._given(service, shown, login)

    def _given(self, service: KnownService, shown: str | None, login: Login | None) -> dict[str, Any]:
        issued = self._access.tokens.issue(service, certificate=shown, login=str(login.id) if login else None)
        return {"access_token": issued, "expires_in": int(LIFETIME.total_seconds())}


def login_routes(access: Access, logins: Logins, failed: FailedLogins) -> APIRouter:
    """The two endpoints."""
    routes = APIRouter(prefix="/csc/v1/auth", tags=["csc v1"])
    entrance = Entrance(access, logins, failed)

    @routes.post("/login", response_model=None, openapi_extra=documented(LogIn))
    async def log_in(request: Request) -> Response:
        """An access token for client id and secret by HTTP Basic, or for a refresh token."""
        asked = await read(request, LogIn)
        authorization = request.headers.get("authorization")
        if authorization is None and asked.refresh_token:
            return answer(await entrance.by_refresh_token(request, asked.refresh_token))
        return answer(await entrance.by_secret(request, authorization or "", remember=bool(asked.remember_me)))

    @routes.post("/revoke", response_model=None, status_code=204, openapi_extra=documented(Revoke))
    async def revoke(request: Request) -> Response:
        """Ends an access token, or a refresh token and with it every access token that came of it; never the other way round."""
        with failed.counted(request, None):
            service, asked = await access.asked(request, Revoke)
        if asked.token_type_hint is not None and asked.token_type_hint not in HINTS:
            raise InvalidRequest("Invalid string parameter token_type_hint")
        if not await revoked(access, logins, service, asked.token):
            raise InvalidRequest("Invalid string parameter token")
        return Response(status_code=204, headers={"Cache-Control": "no-store"})

    return routes
