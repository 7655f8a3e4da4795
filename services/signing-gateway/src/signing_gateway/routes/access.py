"""Who calls: `POST /oauth2/token` (RFC 6749 §4.4, client credentials), and the access token in every CSC call."""

import base64
import hashlib
import hmac
from typing import Protocol
from urllib.parse import parse_qsl, unquote_plus

from fastapi import APIRouter, Request
from starlette.responses import Response

from hosting import Clock, boottime, host_utc
from signing_gateway.access_tokens import LIFETIME, AccessTokens
from signing_gateway.permission import KnownCertificate, KnownService
from signing_gateway.projections import Known
from signing_gateway.rates import Rates
from signing_gateway.refusals import (
    CertificateNeeded,
    CertificateNotTheirs,
    ClientUnknown,
    CredentialUnknown,
    GrantTypeUnsupported,
    InvalidRequest,
    NotCurrent,
    RateExceeded,
    ScopeInvalid,
    TokenInvalid,
)
from signing_gateway.routes.answers import answer
from signing_gateway.routes.bodies import body_of
from signing_gateway.routes.direct import RATE
from signing_gateway.routes.door import SHOWN

NOBODY = bytes(32)  # compared with when the client is unknown, so that it takes the same time (ASVS 6.3.8)
FORM = "application/x-www-form-urlencoded"


class CaughtUp(Protocol):
    """What this asks of `messaging.StateTopics`."""

    @property
    def caught_up(self) -> bool:
        """Whether everything told before the start has been read."""
        ...


class Access:
    """Knows client services by their secret, by their token and by their TLS client certificate, whose time is the host's."""

    def __init__(
        self,
        known: Known,
        topics: CaughtUp,
        tokens: AccessTokens,
        rates: Rates,
        clock: Clock,
        *,
        real_time: Clock = host_utc,
    ) -> None:
        self._known, self._topics, self.tokens, self._rates = known, topics, tokens, rates
        self.now, self._real_time = clock, real_time

    def log_in(self, client_id: str, client_secret: str) -> KnownService:
        """The client service with this id and secret. Raises ClientUnknown, without saying which of them is wrong."""
        service = self._known.service_of(client_id)
        digest = hashlib.sha256(client_secret.encode()).digest()
        if hmac.compare_digest(digest, service.secret_digest if service else NOBODY) and service:
            return service
        if service is None and not self._topics.caught_up:
            raise NotCurrent
        raise ClientUnknown

    def service(self, request: Request) -> KnownService:
        """The client service whose access token the request carries. Raises TokenInvalid, RateExceeded, and as `identified`."""
        service = self._known.services.get(self.tokens.read(request.headers.get("authorization")))
        if service is None or service.status == "deleted":
            if not self._topics.caught_up:
                raise NotCurrent
            raise TokenInvalid("The client service of this access token does not exist.")
        request.state.client_service_id = service.id  # for the log line of a refusal
        self.identified(service, request.scope.get(SHOWN))
        try:
            request.scope[RATE] = self._rates.spend(service.id, boottime())
        except RateExceeded as why:
            request.scope[RATE] = why.headers
            raise
        return service

    def identified(self, service: KnownService, shown: str | None) -> None:
        """Judges the client certificate with the fingerprint `shown`, on every request anew: one withdrawn ends here.

        Raises CertificateNeeded where the service demands one, CertificateNotTheirs for another's, withdrawn or over.
        """
        if shown is None:
            if service.certificate_required:
                raise CertificateNeeded
            return
        owner = self._known.service_of_certificate(shown)
        if owner is None and not self._topics.caught_up:
            raise NotCurrent
        if owner is None or owner.id != service.id or owner.client_certificates[shown] <= self._real_time():
            raise CertificateNotTheirs

    def certificate(self, service: KnownService) -> KnownCertificate | None:
        """The one certificate a service is bound to; None while its news is on the way, or after it is gone."""
        found = self._known.certificates.get(service.certificate_id)
        return found if found and found.status != "deleted" else None

    def credential(self, service: KnownService, credential_id: str) -> KnownCertificate:
        """The service's certificate by our id or the authority's. Raises CredentialUnknown, also for another's."""
        found = self.certificate(service)
        if found and credential_id in (str(found.certificate_id), found.credential_id):
            return found
        if found is None and not self._topics.caught_up:
            raise NotCurrent
        raise CredentialUnknown


def token_routes(access: Access) -> APIRouter:
    """`POST /oauth2/token`."""
    routes = APIRouter(tags=["oauth2"])

    @routes.post(
        "/oauth2/token",
        response_model=None,
        openapi_extra={"requestBody": {"content": {FORM: {"schema": {"type": "object", "required": ["grant_type"]}}}}},
    )
    async def token(request: Request) -> Response:
        """An access token for a client service: client_id and client_secret by HTTP Basic, or in the form."""
        form = _form(request, await body_of(request))
        client_id, client_secret = _credentials(request.headers.get("authorization"), form)
        service = access.log_in(client_id, client_secret)
        access.identified(service, request.scope.get(SHOWN))
        if "grant_type" not in form:
            raise InvalidRequest("Missing parameter grant_type")
        if form["grant_type"] != "client_credentials":
            raise GrantTypeUnsupported("Only grant_type=client_credentials is supported.")
        if form.get("scope", "service") not in ("", "service"):
            raise ScopeInvalid("Only scope=service is supported.")
        return answer(
            {
                "access_token": access.tokens.issue(service),
                "token_type": "Bearer",
                "expires_in": int(LIFETIME.total_seconds()),
                "scope": "service",
            }
        )

    return routes


def _form(request: Request, body: bytes) -> dict[str, str]:
    """The form's parameters; each at most once (RFC 6749 §3.2)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise InvalidRequest(f"Send the parameters as {FORM}.")
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError:
        raise InvalidRequest("The form cannot be read.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise InvalidRequest("A parameter is there more than once.")
    return form


def _credentials(authorization: str | None, form: dict[str, str]) -> tuple[str, str]:
    """Client id and secret from one place only (RFC 6749 §2.3); in the Basic header each is form-encoded (§2.3.1)."""
    if authorization is None:
        if not form.get("client_id") or "client_secret" not in form:
            raise ClientUnknown
        return form["client_id"], form["client_secret"]
    scheme, _, encoded = authorization.partition(" ")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode("utf-8")
        client_id, secret = (unquote_plus(part, errors="strict") for part in decoded.split(":", 1))
    except ValueError:  # not base64, not UTF-8, or no colon
        raise ClientUnknown from None
    if scheme.lower() != "basic":
        raise ClientUnknown
    if "client_secret" in form or form.get("client_id", client_id) != client_id:
        raise InvalidRequest("Authenticate the client in one way only.")
    return client_id, secret
