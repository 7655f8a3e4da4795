"""The tables. A client service sees its own rows alone; a plain signature asks for revocations alone, ahead of it."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

METADATA = MetaData()

INSTANT = DateTime(timezone=True)

keyed_request = Table(
    "keyed_request",  # a request that came with an Idempotency-Key
    METADATA,
    Column("client_service_id", Uuid, primary_key=True),
    Column("idempotency_key", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),  # SHA-256 of what was asked for
    Column("attempt", Uuid),  # under way: nobody else may begin while its holder lives
    Column("holder", BigInteger),  # storage.presence: the process that makes the attempt
    Column("begun_at", INSTANT),  # the host's unmoved time
    Column("answer", LargeBinary),  # JSON that was answered with 200
    Column("kept_until", INSTANT, nullable=False),
    CheckConstraint(
        "(attempt IS NULL) = (holder IS NULL) AND (attempt IS NULL) = (begun_at IS NULL)", name="keyed_request_attempt"
    ),
    CheckConstraint("attempt IS NULL OR answer IS NULL", name="keyed_request_answered_once"),
    Index("keyed_request_kept_until", "kept_until"),
)

activation = Table(
    "activation",  # signature activation data (SAD): leave to make so many signatures
    METADATA,
    Column("sad_digest", LargeBinary, primary_key=True),  # SHA-256: who reads the table can sign nothing
    Column("client_service_id", Uuid, nullable=False),
    Column("certificate_id", Uuid, nullable=False),
    Column("signatures_left", Integer, nullable=False),
    Column("hashes", JSONB(none_as_null=True)),  # base64; null: any
    Column("hash_oid", Text),  # null: any
    Column("expires_at", INSTANT, nullable=False),
    CheckConstraint("signatures_left >= 0", name="activation_never_overspent"),
    Index("activation_expires_at", "expires_at"),
)

deferred_order = Table(
    "deferred_order",  # accepted with operationMode A, answered when it is polled
    METADATA,
    Column("response_id", Uuid, primary_key=True),
    Column("client_service_id", Uuid, nullable=False),
    Column("order", JSONB(none_as_null=True)),  # algorithm and hashes; gone once it is decided
    Column("sad_digest", LargeBinary),  # the activation it was charged to; a definite refusal gives back
    Column("status", Text, nullable=False),
    Column("holder", BigInteger),  # storage.presence: the process that signs it
    Column("attempt", Uuid),  # which of its takings is under way: one process may take it twice
    Column("begun_at", INSTANT),  # its signing, the host's unmoved time
    Column("not_before", INSTANT, nullable=False),  # nobody takes it earlier; the host's unmoved time
    Column("answer", LargeBinary),  # JSON that was answered: signatures, or a refusal
    Column("answer_status", Integer),  # of HTTP
    Column("accepted_at", INSTANT, nullable=False),
    Column("kept_until", INSTANT, nullable=False),
    CheckConstraint("status IN ('waiting', 'signing', 'decided')", name="deferred_order_status"),
    CheckConstraint("(status = 'signing') = (holder IS NOT NULL)", name="deferred_order_held_while_signing"),
    CheckConstraint("(status = 'decided') = (answer IS NOT NULL)", name="deferred_order_answered_when_decided"),
    Index("deferred_order_open", "accepted_at", postgresql_where=text("status <> 'decided'")),
    Index("deferred_order_due", "not_before", postgresql_where=text("status = 'waiting'")),
    Index("deferred_order_waiting", "client_service_id", postgresql_where=text("status = 'waiting'")),
    Index("deferred_order_kept_until", "kept_until"),
)

revocation = Table(
    "revocation",  # an access token, or all tokens of a login, that hold no more
    METADATA,
    Column("token_id", Text, primary_key=True),  # a token's jti, or a login's id
    Column("ends_at", INSTANT, nullable=False),  # when the last of the tokens would be over anyway
    Column("added_in", BigInteger, nullable=False, server_default=text("pg_current_xact_id()::text::bigint")),
    Index("revocation_ends_at", "ends_at"),
    Index("revocation_added_in", "added_in"),
)

login = Table(
    "login",  # of version 1, with rememberMe: a refresh token
    METADATA,
    Column("refresh_digest", LargeBinary, primary_key=True),  # SHA-256: who reads the table can log in nowhere
    Column("login_id", Uuid, nullable=False, unique=True),  # in the access tokens that came of it
    Column("client_service_id", Uuid, nullable=False),
    Column("secret_digest", LargeBinary, nullable=False),  # of the secret it was made with: another one ends it
    Column("by_certificate", Boolean, nullable=False),  # made with a TLS client certificate: used with one alone
    Column("revoked", Boolean, nullable=False),
    Column("ends_at", INSTANT, nullable=False),
    Index("login_ends_at", "ends_at"),
)

spent_assertion = Table(
    "spent_assertion",  # RFC 7523 §3: an assertion is used once
    METADATA,
    Column("client_service_id", Uuid, primary_key=True),
    Column("assertion_id", Text, primary_key=True),
    Column("ends_at", INSTANT, nullable=False),  # the host's unmoved time
    Index("spent_assertion_ends_at", "ends_at"),
)
