"""Who calls: the access token in every CSC call, and the TLS client certificate it is brought with."""

import hashlib
import hmac
from functools import lru_cache
from typing import Protocol
from uuid import UUID

from fastapi import Request

from hosting import Clock, boottime, host_utc
from signing_gateway.access_refusals import CertificateNeeded, CertificateNotTheirs, ClientUnknown
from signing_gateway.access_tokens import AccessTokens
from signing_gateway.permission import KnownCertificate, KnownService
from signing_gateway.projections import Known
from signing_gateway.rates import Rates
from signing_gateway.refusals import CredentialUnknown, NotCurrent, RateExceeded, TokenInvalid
from signing_gateway.routes.bodies import TBody, body_of, sent, understood
from signing_gateway.routes.direct import ASKS, RATE
from signing_gateway.routes.door import SHOWN

NOBODY = bytes(32)  # compared with when the client is unknown, so that it takes the same time (ASVS 6.3.8)


ID_LENGTH = 36


@lru_cache(maxsize=20_000)
def id_of(text: str) -> UUID | None:
    """The id that this is the one spelling of."""
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text else None


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
        self.now, self.real_time = clock, real_time

    def named(self, client_id: str) -> KnownService | None:
        """The client service with this client id. Raises NotCurrent while the news of it may be on the way."""
        service = self._known.service_of(client_id)
        if service is None and not self._topics.caught_up:
            raise NotCurrent
        return service

    def of_login(self, service_id: UUID, secret_digest: bytes) -> KnownService | None:
        """The client service that logged in with this secret, while it is still its secret."""
        service = self._known.services.get(service_id)
        if service is None and not self._topics.caught_up:
            raise NotCurrent
        holds = service and service.status != "deleted" and hmac.compare_digest(service.secret_digest, secret_digest)
        return service if holds else None

    def log_in(self, client_id: str, client_secret: str) -> KnownService:
        """The client service with this id and secret. Raises ClientUnknown, without saying which of them is wrong."""
        service = self.named(client_id)
        digest = hashlib.sha256(client_secret.encode()).digest()
        if hmac.compare_digest(digest, service.secret_digest if service else NOBODY) and service:
            return service
        raise ClientUnknown

    async def asked(self, request: Request, kind: type[TBody]) -> tuple[KnownService, TBody]:
        """Who asks, and what. Judged once the body is there: what held before may be withdrawn while it is held back.

        Raises as `service`, `body_of` and `understood`.
        """
        body = await body_of(request)
        return self.service(request), understood(body, kind)

    def service(self, request: Request) -> KnownService:
        """The client service whose access token the request carries, at the cost of one request of its rate.

        Raises RateExceeded, and as `judged`.
        """
        service = self.judged(request)
        self.spend(request, service)
        return service

    def spend(self, request: Request, service: KnownService) -> None:
        """Takes one request of the rate of `service`, and keeps what to tell it of the rest. Raises RateExceeded."""
        try:
            request.scope[RATE] = self._rates.spend(service.client_id, boottime())
        except RateExceeded as why:
            request.scope[RATE] = why.headers
            raise

    def judged(self, request: Request) -> KnownService:
        """The client service as its token and certificate stand at this instant. Raises TokenInvalid, and as `identified`.

        Work that takes long is judged by it again just before its signature.
        """
        shown = request.scope.get(SHOWN)
        service = self._known.services.get(self.tokens.read(sent(request, b"authorization"), shown).service_id)
        if service is None or service.status == "deleted":
            if not self._topics.caught_up:
                raise NotCurrent
            raise TokenInvalid("The client service of this access token does not exist.")
        request.scope[ASKS] = service.id
        self.identified(service, shown)
        return service

    def identified(self, service: KnownService, shown: str | None) -> None:
        """Judges the client certificate with the fingerprint `shown`, on every request anew: one withdrawn ends here.

        Raises CertificateNeeded where the service demands one, CertificateNotTheirs for another's, withdrawn or over.
        """
        if shown is None:
            if service.certificate_required:
                raise CertificateNeeded
            return
        known = self._known.client_certificate(shown)
        if known is None and not self._topics.caught_up:
            raise NotCurrent
        if known is None or known.service is not service or known.valid_until <= self.real_time():
            raise CertificateNotTheirs

    def certificate(self, service: KnownService) -> KnownCertificate | None:
        """The one certificate a service is bound to; None while its news is on the way, or after it is gone."""
        found = self._known.certificates.get(service.certificate_id)
        return found if found and found.status != "deleted" else None

    def credential(self, service: KnownService, credential_id: str) -> KnownCertificate:
        """The service's certificate by our id or the authority's. Raises CredentialUnknown, also for another's."""
        found = self.certificate(service)
        if found and (id_of(credential_id[: ID_LENGTH + 1]) == found.certificate_id or credential_id == found.credential_id):
            return found
        if found is None and not self._topics.caught_up:
            raise NotCurrent
        raise CredentialUnknown
