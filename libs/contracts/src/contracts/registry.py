"""What the certificate registry tells: its accounts, operators, certificates and client services, each as a whole state.

A deletion is told as a state without personal data (`status: deleted`), then as a tombstone.
"""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from contracts.envelope import Message, Told

Role = Literal["administrator", "partner", "issuer", "auditor"]


class Account(Told):
    """An issuer company. Keyed by account id.

    Heard by: signing-gateway (may it sign), grant-monitor (zone, notice hour), notifier (zone, language, status).
    """

    topic: ClassVar[str] = "accounts"
    type: ClassVar[str] = "account.v1"
    key_field: ClassVar[str] = "account_id"

    cause: str
    account_id: UUID
    version: int = Field(ge=1)
    name: str
    status: Literal["registered", "active", "suspended", "blocked", "deleted"]
    zone: str = "Europe/Lisbon"  # IANA name
    notice_hour: int = Field(default=9, ge=0, le=23)  # local hour at which daily warnings are due
    language: str = "en"


class Operator(Told):
    """A person who is mailed and who renews. Keyed by operator id. Heard by: notifier."""

    topic: ClassVar[str] = "operators"
    type: ClassVar[str] = "operator.v1"
    key_field: ClassVar[str] = "operator_id"

    cause: str
    operator_id: UUID
    version: int = Field(ge=1)
    account_id: UUID | None  # None for the platform's own administrators and auditors, and for partners
    name: str
    email: str
    mobile: str | None = None
    language: str = "en"
    role: Role
    status: Literal["active", "inactive", "deleted"]


class Certificate(Told):
    """A remote certificate registered from a CA. Keyed by certificate id. Told once its credential is chosen.

    Heard by: signing-gateway, grant-monitor (whose account), notifier (alias), ca-connector (a deleted one: destroys its tokens).
    """

    topic: ClassVar[str] = "certificates"
    type: ClassVar[str] = "certificate.v1"
    key_field: ClassVar[str] = "certificate_id"

    cause: str
    certificate_id: UUID
    version: int = Field(ge=1)
    account_id: UUID
    alias: str
    certificate_authority_id: UUID
    certificate_authority_name: str
    credential_id: str  # the CA's
    status: Literal["active", "inactive", "deleted"]
    subject: str  # RFC 4514
    issuer: str  # RFC 4514
    serial_number: str  # hexadecimal
    valid_from: AwareDatetime
    valid_until: AwareDatetime
    key_algorithm: Literal["RSA", "EC"]
    key_bits: int
    profile: Literal["seal", "signature"]
    scope_of_use: str = ""
    chain: list[str]  # base64 DER, end entity first
    multisign: int = Field(default=1, ge=1)  # hashes one call to the CA may carry


class TrustedClientCertificate(Message):
    """A TLS client certificate that identifies one client service. One that is withdrawn is no longer listed."""

    sha256: str  # hexadecimal digest of the certificate's DER
    valid_until: AwareDatetime


class ClientService(Told):
    """Software that signs with one certificate. Keyed by client service id.

    Heard by: signing-gateway (who may log in and sign), notifier (lists who was suspended).
    """

    topic: ClassVar[str] = "client-services"
    type: ClassVar[str] = "client-service.v1"
    key_field: ClassVar[str] = "client_service_id"

    cause: str
    client_service_id: UUID
    version: int = Field(ge=1)
    account_id: UUID
    certificate_id: UUID
    name: str
    client_id: str
    secret_sha256: str  # hexadecimal digest of the secret's UTF-8 bytes
    status: Literal["active", "inactive", "deleted"]
    reason: Literal["created", "operator", "access-expired"] | None  # why it is inactive
    activated_for_epoch: int = Field(ge=0)  # 0 before the first activation
    client_certificates: list[TrustedClientCertificate] = []
    certificate_required: bool = False  # calls without one of them are refused, whatever the gateway asks of others
    jwks: list[dict[str, str]] = []  # public keys (RFC 7517) that verify its private_key_jwt assertions
