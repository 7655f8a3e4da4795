"""Who may sign, and under which epoch. Pure: what is known, the instant, and a refusal in plain words or a permit."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Literal
from uuid import UUID

from contracts import AccessGrant, Account, Certificate, ClientService
from signing_gateway.refusals import (
    AccountNotActive,
    CertificateInactive,
    EpochMoved,
    GrantNotKnown,
    ServiceInactive,
    grant_over,
)


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """What signing asks of an account."""

    version: int
    status: str

    @classmethod
    def of(cls, told: Account) -> "KnownAccount":
        """From its telling."""
        return cls(told.version, told.status)


NO_CERTIFICATES: Mapping[str, datetime] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class KnownService:
    """What signing asks of a client service."""

    version: int
    id: UUID
    account_id: UUID
    certificate_id: UUID
    client_id: str
    secret_digest: bytes
    status: str
    reason: Literal["created", "operator", "access-expired"] | None
    activated_for_epoch: int
    client_certificates: Mapping[str, datetime]  # SHA-256 in lower-case hexadecimal → when it ends; withdrawn ones are not there
    certificate_required: bool
    jwks: Sequence[Mapping[str, str]]  # public keys that verify its assertions

    @classmethod
    def of(cls, told: ClientService) -> "KnownService":
        """From its telling. A digest that is no hexadecimal lets nobody in."""
        try:
            digest = bytes.fromhex(told.secret_sha256)
        except ValueError:
            digest = b""
        return cls(
            told.version,
            told.client_service_id,
            told.account_id,
            told.certificate_id,
            told.client_id,
            digest,
            told.status,
            told.reason,
            told.activated_for_epoch,
            {each.sha256.lower(): each.valid_until for each in told.client_certificates} or NO_CERTIFICATES,
            told.certificate_required,
            tuple(told.jwks),
        )


@dataclass(frozen=True, slots=True)
class KnownGrant:
    """What signing asks of a grant."""

    version: int
    epoch: int
    state: Literal["active", "expired", "superseded"]
    expires_at: datetime
    expired_reason: str | None
    last_expired_epoch: int  # 0 when none has expired
    draining: bool = False  # all that is left is in somebody's hand

    @classmethod
    def of(cls, told: AccessGrant) -> "KnownGrant":
        """From its telling."""
        last = told.last_expired.epoch if told.last_expired else 0
        return cls(told.version, told.epoch, told.state, told.expires_at, told.expired_reason, last, told.draining)

    def over(self, now: datetime) -> bool:
        """Whether the grant has ended at `now`, by this service's own clock, whatever the bus or the monitor does."""
        return self.state == "expired" or now >= self.expires_at


@dataclass(frozen=True, slots=True)
class Permit:
    """This service may sign with this certificate under this epoch, judged at one instant."""

    service: KnownService
    certificate: Certificate
    grant: KnownGrant


def permitted(
    service: KnownService,
    certificate: Certificate | None,
    account: KnownAccount | None,
    grant: KnownGrant | None,
    now: datetime,
) -> Permit:
    """The permit of `service` at `now`.

    What is certain is judged first, so that an expired grant is a refusal even while other news is missing. Raises
    GrantExpired, ServiceInactive, CertificateInactive or AccountNotActive; GrantNotKnown and EpochMoved pass by themselves.
    """
    if account and account.status != "active":
        raise AccountNotActive(account.status)
    if certificate and certificate.status != "active":
        raise CertificateInactive
    if grant and grant.over(now):
        raise grant_over(grant.expired_reason, grant.expires_at if now >= grant.expires_at else None)
    if service.status != "active":
        raise ServiceInactive(service.reason)
    if grant is None or certificate is None or account is None:
        raise GrantNotKnown
    if service.activated_for_epoch <= grant.last_expired_epoch:
        raise ServiceInactive("access-expired")
    if grant.state != "active":
        raise EpochMoved
    return Permit(service, certificate, grant)
