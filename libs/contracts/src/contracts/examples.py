"""One example of every event, as the golden files hold it. Consumers' tests read them: what was once published stays readable."""

from datetime import UTC, date, datetime
from hashlib import sha256
from uuid import UUID

from contracts.access_grants import AccessGrant, Expiry, Usage, UsageDay, Warned
from contracts.ca_access import CaAccessGranted, CaAccessWithdrawn
from contracts.envelope import Told
from contracts.notices import NoticeFailed, NoticeSent
from contracts.registry import Account, Certificate, ClientService, Operator, TrustedClientCertificate
from contracts.signatures import SignatureApplied

ACCOUNT = UUID("0193a1b0-0000-7000-8000-00000000000a")
CERTIFICATE = UUID("0193a1b0-0000-7000-8000-00000000000c")
CLIENT_SERVICE = UUID("0193a1b0-0000-7000-8000-00000000000d")
OPERATOR = UUID("0193a1b0-0000-7000-8000-00000000000e")
NOTICE = UUID("0193a1b0-0000-7000-8000-00000000000f")
AUTHORITY = UUID("0193a1b0-0000-7000-8000-0000000000ca")
ALLOWANCE = UUID("0193a1b0-0000-7000-8000-0000000000a1")
DIGEST = sha256(b"an example").hexdigest()
GRANTED = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
ENDS = datetime(2027, 1, 20, 8, 30, tzinfo=UTC)

EXAMPLES: tuple[Told, ...] = (
    Account(cause="changed", account_id=ACCOUNT, version=2, name="Exemplo, Lda", status="active"),
    Operator(
        cause="created",
        operator_id=OPERATOR,
        version=1,
        account_id=ACCOUNT,
        name="Ana Sousa",
        email="ana.sousa@exemplo.example",
        mobile="+351910000001",
        role="issuer",
        status="active",
    ),
    Certificate(
        cause="registered",
        certificate_id=CERTIFICATE,
        version=1,
        account_id=ACCOUNT,
        alias="Invoices",
        certificate_authority_id=AUTHORITY,
        certificate_authority_name="Sandbox CA A",
        credential_id="A-SEAL-1",
        status="active",
        subject="CN=Exemplo invoices,O=Exemplo\\, Lda,C=PT",
        issuer="CN=Sandbox issuing CA A,O=Sandbox,C=PT",
        serial_number="1f2e3d",
        valid_from=GRANTED,
        valid_until=datetime(2029, 11, 20, 8, 30, tzinfo=UTC),
        key_algorithm="RSA",
        key_bits=2048,
        profile="seal",
        chain=["MIIB"],
        multisign=1000,
    ),
    ClientService(
        cause="suspended",
        client_service_id=CLIENT_SERVICE,
        version=3,
        account_id=ACCOUNT,
        certificate_id=CERTIFICATE,
        name="Invoicing",
        client_id="invoicing-1",
        secret_sha256=DIGEST,
        status="inactive",
        reason="access-expired",
        activated_for_epoch=1,
        client_certificates=[TrustedClientCertificate(sha256=DIGEST, valid_until=datetime(2028, 11, 20, 8, 30, tzinfo=UTC))],
        certificate_required=True,
        jwks=[{"kty": "OKP", "crv": "Ed25519", "kid": "2026", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}],
    ),
    AccessGrant(
        cause="warned",
        certificate_id=CERTIFICATE,
        version=7,
        epoch=2,
        state="active",
        granted_at=GRANTED,
        expires_at=ENDS,
        usage_limit=1_000_000_000,
        used=900_000_001,
        forfeited=12,
        draining=False,
        last_expired=Expiry(epoch=1, reason="time", at=GRANTED),
        warned=Warned(crossing_usage=date(2026, 12, 1), daily=date(2026, 12, 2)),
    ),
    Usage(
        client_service_id=CLIENT_SERVICE,
        version=4,
        certificate_id=CERTIFICATE,
        total=42,
        days=[UsageDay(date=date(2026, 11, 21), signatures=40), UsageDay(date=date(2026, 11, 20), signatures=2)],
    ),
    CaAccessGranted(
        certificate_id=CERTIFICATE,
        epoch=2,
        granted_at=GRANTED,
        expires_at=ENDS,
        usage_limit=1_000_000_000,
        warn_before_s=604_800,
        warn_above_bp=9_000,
    ),
    CaAccessWithdrawn(certificate_id=CERTIFICATE, epoch=2, withdrawn_at=GRANTED, by="certificate-authority"),
    SignatureApplied(
        certificate_id=CERTIFICATE,
        epoch=2,
        client_service_id=CLIENT_SERVICE,
        allowance_id=ALLOWANCE,
        first=10,
        count=5,
        total=15,
        outcome="applied",
    ),
    NoticeSent(
        notice_id=NOTICE,
        account_id=ACCOUNT,
        operator_id=OPERATOR,
        kind="daily",
        local_date=date(2027, 1, 14),
        certificate_ids=[CERTIFICATE],
        message_id="<0193a1b0.0193a1b1@sinete.example>",
        sent_at=GRANTED,
    ),
    NoticeFailed(
        notice_id=NOTICE,
        account_id=ACCOUNT,
        operator_id=OPERATOR,
        kind="expired",
        local_date=date(2027, 1, 20),
        certificate_ids=[CERTIFICATE],
        message_id="<0193a1b0.0193a1b1@sinete.example>",
        failed_at=GRANTED,
        reason="554 mailbox unavailable",
    ),
)
