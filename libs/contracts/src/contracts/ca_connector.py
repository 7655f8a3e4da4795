"""The CA connector's internal API: CA profiles, authorisation flows (the walk to a CA and back), signing.

    GET   /internal/v1/certificate-authorities                       registry → CertificateAuthorityList
    POST  /internal/v1/certificate-authorities                       registry New… → 201 CertificateAuthority
    GET   /internal/v1/certificate-authorities/{id}                  registry → CertificateAuthority | 404
    PATCH /internal/v1/certificate-authorities/{id}                  registry CertificateAuthorityChange → CertificateAuthority
    POST  /internal/v1/authorisations                                registry Begin → 201 Authorisation (same if repeated)
    GET   /internal/v1/authorisations/{id}                           registry → Authorisation
    POST  /internal/v1/authorisations/{id}/callback                  registry Callback → Authorisation (repeated: what stands)
    POST  /internal/v1/authorisations/{id}/credential                registry ChosenCredential → Authorisation
    POST  /internal/v1/authorisations/{id}/authorisation             registry Answer → Authorisation
    POST  /internal/v1/authorisations/{id}/challenge                 registry → Authorisation (a new OTP is sent)
    POST  /internal/v1/authorisations/{id}/cancellation              registry → Authorisation
    POST  /internal/v1/certificates/{id}/revocation                  registry Revocation → 204 (access given up)
    POST  /internal/v1/signatures                                    signing-gateway SignCall → lines of SignResult

Refusals are problem+json: `type` is the last path segment of the kind, e.g. "authorisation-unknown".
"""

from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, SecretStr, ValidationInfo, field_validator

from contracts.envelope import Message

Approval = Literal["at-ca", "in-back-office"]
Dialect = Literal["csc-v2", "csc-v1"]
SigningAuthorisation = Literal["implicit", "sad-per-grant"]


class AccessPolicy(Message):
    """How long and how much a grant of this CA permits, and when to warn; stamped into each epoch when it is granted."""

    lifetime_s: int = Field(default=60 * 86_400, ge=3_600, le=3_650 * 86_400)
    usage_limit: int = Field(default=1_000_000_000, ge=1, le=10**15)  # signatures
    warn_before_s: int = Field(default=7 * 86_400, ge=0, validate_default=True)
    warn_above_bp: int = Field(default=9_000, ge=0, le=10_000)

    @field_validator("warn_before_s")
    @classmethod
    def _warns_later_than_it_begins(cls, warn_before_s: int, told: ValidationInfo) -> int:
        lifetime_s = told.data.get("lifetime_s", warn_before_s + 1)
        if warn_before_s >= lifetime_s:
            raise ValueError(f"must be less than lifetime_s ({lifetime_s}), or every grant would warn from its first instant")
        return warn_before_s


class NewCertificateAuthority(Message):
    """A CA profile as written. `issuer` is the OAuth2 issuer (RFC 8414); `csc_url` ends in /csc/v2 or /csc/v1."""

    name: str = Field(min_length=1, max_length=100)
    issuer: str = Field(max_length=500)
    csc_url: str = Field(max_length=500)
    client_id: str = Field(min_length=1, max_length=255)
    client_secret: SecretStr
    dialect: Dialect = "csc-v2"
    approval: Approval = "at-ca"
    signing: SigningAuthorisation = "implicit"
    policy: AccessPolicy = AccessPolicy()
    client_account_url: str | None = Field(default=None, max_length=500)  # where a person checks the client account
    support_contact: str | None = Field(default=None, max_length=200)


class CertificateAuthorityChange(Message):
    """What of a profile to change; None leaves a field as it is. Grants already given keep the policy stamped into them."""

    name: str | None = Field(default=None, min_length=1, max_length=100)
    client_id: str | None = Field(default=None, min_length=1, max_length=255)
    client_secret: SecretStr | None = None
    policy: AccessPolicy | None = None
    client_account_url: str | None = Field(default=None, max_length=500)
    support_contact: str | None = Field(default=None, max_length=200)
    status: Literal["active", "inactive"] | None = None


class CertificateAuthority(Message):
    """A CA profile as it is shown: never with the client secret."""

    id: UUID
    name: str
    issuer: str
    csc_url: str
    client_id: str
    dialect: Dialect
    approval: Approval
    signing: SigningAuthorisation
    policy: AccessPolicy
    client_account_url: str | None
    support_contact: str | None
    status: Literal["active", "inactive"]


class CertificateAuthorityList(Message):
    """All profiles, by name."""

    items: list[CertificateAuthority]


class Begin(Message):
    """Begins the walk to a CA. `id` is the registry's (of the renewal or the registration): repeating it begins nothing more."""

    id: UUID
    kind: Literal["registration", "renewal"]
    certificate_id: UUID
    certificate_authority_id: UUID
    operator_id: UUID


class OfferedCredential(Message):
    """A credential that the account at the CA offers at a registration."""

    credential_id: str
    subject: str
    valid_until: AwareDatetime
    key_algorithm: Literal["RSA", "EC"]
    usable: bool
    reason: str | None = None  # why it cannot be chosen


class CertificateFacts(Message):
    """The X.509 facts of the chosen credential, as `contracts.Certificate` tells them."""

    credential_id: str
    subject: str
    issuer: str
    serial_number: str
    valid_from: AwareDatetime
    valid_until: AwareDatetime
    key_algorithm: Literal["RSA", "EC"]
    key_bits: int
    profile: Literal["seal", "signature"]
    chain: list[str]  # base64 DER, end entity first
    multisign: int


class GrantedEpoch(Message):
    """The epoch that this walk opened."""

    epoch: int
    granted_at: AwareDatetime
    expires_at: AwareDatetime


class Authorisation(Message):
    """A walk as it stands.

    `awaiting-ca`: `authorization_url` is the CA's own, for a redirect; `awaiting-credential`: choose one of `offered`;
    `awaiting-authorisation`: our dialog asks for `asks`, good until `answer_by`, `attempts_left` answers may still be wrong;
    `completed`: `granted` and `facts` say what there is now; `failed` and `cancelled`: `reason` is a word to act on, as
    `wrong-account`, `credential-disabled`, `access-denied`, `locked`, `renewed-by-another-operator`, `timed-out`,
    `interrupted`, `ca-unavailable`, `ca-refused`, `client-rejected`.
    """

    id: UUID
    kind: Literal["registration", "renewal"]
    certificate_id: UUID
    status: Literal["awaiting-ca", "awaiting-credential", "awaiting-authorisation", "completed", "failed", "cancelled"]
    reason: str | None = None
    authorization_url: str | None = None
    state: str | None = None  # the OAuth2 state in authorization_url: whoever brings it back is this walk
    offered: list[OfferedCredential] = []
    asks: list[Literal["otp", "pin"]] = []
    answer_by: AwareDatetime | None = None
    attempts_left: int | None = None
    granted: GrantedEpoch | None = None
    facts: CertificateFacts | None = None


class Callback(Message):
    """What the CA's redirect brought back (RFC 6749 §4.1.2, RFC 9207). The code is a secret."""

    state: str = Field(max_length=255)
    code: SecretStr | None = None
    iss: str | None = Field(default=None, max_length=500)
    error: str | None = Field(default=None, max_length=100)


class ChosenCredential(Message):
    """The operator's choice at a registration."""

    credential_id: str = Field(min_length=1, max_length=500)


class CodesAnswer(Message):
    """What the operator typed into our dialog. In memory for the length of one request."""

    otp: SecretStr | None = None
    pin: SecretStr | None = None


class Revocation(Message):
    """An operator gives access up: the tokens are revoked at the CA and destroyed, the epoch is over."""

    operator_id: UUID


class SignItem(Message):
    """Hashes of one request, to sign under one epoch of one certificate."""

    item_id: UUID
    certificate_id: UUID
    epoch: int = Field(ge=1, le=2**31 - 1)
    hashes: list[str] = Field(min_length=1, max_length=10_000)  # base64
    hash_algorithm_oid: str
    sign_algorithm_oid: str
    sign_algorithm_params: str | None = None  # base64 DER (RSASSA-PSS)
    traced: bool = False  # whether its request is: its call to the CA gets a span in the trace of the whole call


class SignCall(Message):
    """The request: items of any certificates."""

    items: list[SignItem] = Field(min_length=1, max_length=10_000)


class SignResult(Message):
    """What became of one item: a line of JSON (application/x-ndjson), written as soon as it is known, in no order.

    An item whose line is missing when the answer ends is `unknown`.

    `signed`: `signatures` in the order of the hashes, base64. `refused`: the CA certainly made none; `reason` is
    `epoch-over`, `access-withdrawn`, `credential-disabled`, `ca-refused`, `ca-unavailable` (never sent, or turned away) or
    `certificate-unknown`. `unknown`: nobody knows whether signatures were made; they stay charged.
    """

    item_id: UUID
    outcome: Literal["signed", "refused", "unknown"]
    signatures: list[str] = []
    reason: str | None = None
    detail: str | None = None  # a sentence for people, without secrets
