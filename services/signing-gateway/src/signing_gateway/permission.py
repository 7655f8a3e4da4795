"""Who may sign, and under which epoch. Pure: what is known, the instant, and a refusal in plain words or a permit."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from sys import intern
from typing import Literal
from uuid import UUID

from msgspec import Struct

from contracts import AccessGrant, Account, Certificate, ClientService, UnreadableEvent
from signing_gateway.refusals import (
    AccountNotActive,
    CertificateInactive,
    CertificateOver,
    EpochMoved,
    GrantNotKnown,
    ServiceInactive,
    grant_over,
)

Once = Callable[[UUID], UUID]
"""Answers the same object for the same id: each is kept in many places."""


def same(one: UUID) -> UUID:
    """The id itself, for whoever keeps few."""
    return one


class KnownAccount(Struct, frozen=True, gc=False):
    """What signing asks of an account."""

    version: int
    status: str

    @classmethod
    def of(cls, told: Account) -> "KnownAccount":
        """From its telling."""
        return cls(told.version, told.status)


class KnownCertificate(Struct, frozen=True, gc=False):
    """What signing asks of a certificate, and what clients ask about it. There are many: what many have is kept once."""

    version: int
    certificate_id: UUID
    words: str  # the CA's credential id, alias, subject and serial number, NUL between them: one object, not four
    status: str
    issuer: str  # RFC 4514
    valid_from: datetime
    valid_until: datetime
    key_algorithm: Literal["RSA", "EC"]
    key_bits: int
    leaf: bytes  # DER; empty once the certificate is deleted
    issuers: tuple[str, ...]  # base64 DER

    @property
    def credential_id(self) -> str:
        """The CA's."""
        return self.words.split("\0")[0]

    @property
    def alias(self) -> str:
        """What operators call it."""
        return self.words.split("\0")[1]

    @property
    def subject(self) -> str:
        """RFC 4514."""
        return self.words.split("\0")[2]

    @property
    def serial_number(self) -> str:
        """Hexadecimal."""
        return self.words.split("\0")[3]

    @property
    def chain(self) -> list[str]:
        """Base64 DER, end entity first."""
        return [b64encode(self.leaf).decode(), *self.issuers] if self.leaf else []

    @classmethod
    def of(cls, told: Certificate, once: Once = same) -> "KnownCertificate":
        """From its telling. Raises UnreadableEvent for a chain that is no base64."""
        try:
            leaf = b64decode(told.chain[0]) if told.chain else b""
        except ValueError:  # binascii.Error is one
            raise UnreadableEvent(f"{told.type}: chain: not base64") from None
        return cls(
            told.version,
            once(told.certificate_id),
            f"{told.credential_id}\0{told.alias}\0{told.subject}\0{told.serial_number}",
            told.status,
            intern(told.issuer),
            told.valid_from,
            told.valid_until,
            told.key_algorithm,
            told.key_bits,
            leaf,
            _shared(tuple(told.chain[1:])),
        )


@lru_cache(maxsize=1_000)
def _shared(issuers: tuple[str, ...]) -> tuple[str, ...]:
    """The issuers' certificates as they were first told: a hundred thousand certificates have a handful of issuers."""
    return issuers


class KnownService(Struct, frozen=True, gc=False):
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
    client_certificates: tuple[str, ...]  # SHA-256 in lower-case hexadecimal; withdrawn ones are not there
    certificate_required: bool
    jwks: Sequence[Mapping[str, str]]  # public keys that verify its assertions

    @classmethod
    def of(cls, told: ClientService, once: Once = same) -> "KnownService":
        """From its telling. A digest that is no hexadecimal lets nobody in."""
        try:
            digest = bytes.fromhex(told.secret_sha256)
        except ValueError:
            digest = b""
        return cls(
            told.version,
            told.client_service_id,
            once(told.account_id),
            once(told.certificate_id),
            told.client_id,
            digest,
            told.status,
            told.reason,
            told.activated_for_epoch,
            tuple([each.sha256.lower() for each in told.client_certificates]),  # a generator would take four times as long
            told.certificate_required,
            tuple(told.jwks),
        )


class ClientCertificate(Struct, frozen=True, gc=False):
    """A TLS client certificate that identifies one client service, as that was last told."""

    service: KnownService
    valid_until: datetime


class KnownGrant(Struct, frozen=True, gc=False):
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


class Permit(Struct, frozen=True):
    """This service may sign with this certificate under this epoch, judged at one instant."""

    service: KnownService
    certificate: KnownCertificate
    grant: KnownGrant


def permitted(
    service: KnownService,
    certificate: KnownCertificate | None,
    account: KnownAccount | None,
    grant: KnownGrant | None,
    now: datetime,
) -> Permit:
    """The permit of `service` at `now`.

    What is certain is judged first, so that an expired grant is a refusal even while other news is missing. Raises
    AccountNotActive, CertificateInactive, CertificateOver, GrantExpired or ServiceInactive; GrantNotKnown and EpochMoved pass by
    themselves.
    """
    if account and account.status != "active":
        raise AccountNotActive(account.status)
    if certificate and certificate.status != "active":
        raise CertificateInactive
    if certificate and certificate.valid_until <= now:
        raise CertificateOver(certificate.subject)
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
