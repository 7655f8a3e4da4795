"""How a client service authenticates at the OAuth2 endpoints: by secret (Basic or form), own key, or TLS client certificate."""

import base64
from collections.abc import Collection
from urllib.parse import parse_qsl, unquote_plus

from fastapi import Request

from signing_gateway import assertions
from signing_gateway.access_refusals import CertificateNotTheirs, ClientUnknown
from signing_gateway.permission import KnownService
from signing_gateway.refusals import InvalidRequest
from signing_gateway.routes.access import Access
from signing_gateway.routes.bodies import body_of
from signing_gateway.routes.door import SHOWN
from signing_gateway.routes.failed_logins import FailedLogins
from signing_gateway.storage.logins import Logins

FORM = "application/x-www-form-urlencoded"
METHODS = ["client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth"]


class ClientAuthentication:
    """Knows the client service of a form. `audiences` are what an assertion may be made for."""

    def __init__(self, access: Access, logins: Logins, failed: FailedLogins, audiences: Collection[str]) -> None:
        self._access, self._logins, self._failed, self._audiences = access, logins, failed, audiences

    async def client(self, request: Request, form: dict[str, str]) -> KnownService:
        """The client service, authenticated in exactly one way (RFC 6749 §2.3), with its own TLS certificate if with any.

        It costs one request of its rate.
        """
        authorization = request.headers.get("authorization")
        ways = [authorization is not None, "client_secret" in form, "client_assertion" in form]
        if sum(ways) > 1:
            raise InvalidRequest("Authenticate the client in one way only.")
        shown: str | None = request.scope.get(SHOWN)
        with self._failed.counted(request, claimed(authorization, form), costly="client_assertion" in form):
            if authorization is not None:
                service = self._by_basic(authorization, form)
            elif "client_assertion" in form:
                service = await self._by_assertion(form)
            elif "client_secret" in form:
                service = self._access.log_in(form.get("client_id", ""), form["client_secret"])
            else:
                service = self._by_certificate(form, shown)
        self._access.identified(service, shown)
        self._access.spend(request, service)
        return service

    def _by_basic(self, authorization: str, form: dict[str, str]) -> KnownService:
        """client_secret_basic; id and secret are each form-encoded (RFC 6749 §2.3.1)."""
        credentials = basic(authorization)
        if credentials is None:
            raise ClientUnknown
        try:
            client_id, secret = (unquote_plus(part, errors="strict") for part in credentials)
        except ValueError:  # not UTF-8
            raise ClientUnknown from None
        if form.get("client_id", client_id) != client_id:
            raise InvalidRequest("Authenticate the client in one way only.")
        return self._access.log_in(client_id, secret)

    async def _by_assertion(self, form: dict[str, str]) -> KnownService:
        """private_key_jwt (RFC 7523 §2.2); one assertion serves once."""
        if form.get("client_assertion_type") != assertions.TYPE:
            raise InvalidRequest(f"Invalid parameter client_assertion_type: only {assertions.TYPE} is supported")
        client_id = assertions.claimed_client(form["client_assertion"])
        service, now = self._access.named(client_id), self._access.real_time()
        if service is None or form.get("client_id", client_id) != client_id:
            raise ClientUnknown
        held = assertions.judged(form["client_assertion"], service, self._audiences, now)
        if not await self._logins.spend(service.id, held, now):
            raise ClientUnknown
        return service

    def _by_certificate(self, form: dict[str, str], shown: str | None) -> KnownService:
        """tls_client_auth (RFC 8705 §2.1): the certificate that the registry bound to this client service."""
        service = self._access.named(form.get("client_id", ""))
        if service is None or shown is None:
            raise ClientUnknown
        try:
            self._access.identified(service, shown)
        except CertificateNotTheirs:
            raise ClientUnknown from None
        return service


def claimed(authorization: str | None, form: dict[str, str]) -> str | None:
    """The client id that is claimed, before anything is judged; None where there is none to read."""
    if authorization is not None:
        credentials = basic(authorization)
        return credentials[0] if credentials else None
    if "client_assertion" in form:
        try:
            return assertions.claimed_client(form["client_assertion"])
        except ClientUnknown:
            return None
    return form.get("client_id")


async def form_of(request: Request) -> dict[str, str]:
    """The form's parameters; each at most once (RFC 6749 §3.2)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise InvalidRequest(f"Send the parameters as {FORM}.")
    body = await body_of(request)
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError:
        raise InvalidRequest("The form cannot be read.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise InvalidRequest("A parameter is there more than once.")
    return form


def basic(authorization: str) -> tuple[str, str] | None:
    """User and password of an `Authorization: Basic` header (RFC 7617), None when it is no such header."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
    except ValueError:  # not base64, or not UTF-8
        return None
    return (user, password) if scheme.lower() == "basic" and colon else None
