"""The connector's tables. What is secret is in `bytea` columns, sealed."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from messaging import outbox

METADATA = sa.MetaData()
INSTANT = sa.DateTime(timezone=True)

AUTHORITY = sa.Table(
    "certificate_authority",
    METADATA,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("name", sa.String(100), nullable=False, unique=True),
    sa.Column("issuer", sa.String(500), nullable=False),
    sa.Column("csc_url", sa.String(500), nullable=False),
    sa.Column("client_id", sa.String(255), nullable=False),
    sa.Column("client_secret", sa.LargeBinary, nullable=False),
    sa.Column("dialect", sa.String(10), nullable=False),
    sa.Column("approval", sa.String(20), nullable=False),
    sa.Column("signing", sa.String(20), nullable=False),
    sa.Column("policy", JSONB, nullable=False),
    sa.Column("client_account_url", sa.String(500)),
    sa.Column("support_contact", sa.String(200)),
    sa.Column("status", sa.String(10), nullable=False),
    sa.Column("created_at", INSTANT, nullable=False),
)
"""A CA profile."""

WALK = sa.Table(
    "authorisation",
    METADATA,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("kind", sa.String(12), nullable=False),
    sa.Column("certificate_id", sa.Uuid, nullable=False),
    sa.Column("certificate_authority_id", sa.Uuid, nullable=False),
    sa.Column("operator_id", sa.Uuid, nullable=False),
    sa.Column("status", sa.String(24), nullable=False),
    sa.Column("reason", sa.String(60)),
    sa.Column("base_epoch", sa.Integer, nullable=False),
    sa.Column("begun_at", INSTANT, nullable=False),
    sa.Column("granted_at", INSTANT),
    sa.Column("exchanging_since", INSTANT),
    sa.Column("ca_end_s", sa.BigInteger),
    sa.Column("hidden", sa.LargeBinary),
    sa.Column("credential_id", sa.String(500)),
    sa.Column("offered", JSONB, nullable=False),
    sa.Column("asks", JSONB, nullable=False),
    sa.Column("answer_by", INSTANT),
    sa.Column("answers", sa.Integer, nullable=False),
    sa.Column("challenges", sa.Integer, nullable=False),
    sa.Column("outcome", JSONB),
    sa.Index("authorisation_open", "begun_at", postgresql_where=sa.text("status LIKE 'awaiting%'")),
)
"""A walk to a CA. `hidden` holds state, verifier and tokens while it is under way, and nothing after."""

ACCESS = sa.Table(
    "ca_access",
    METADATA,
    sa.Column("certificate_id", sa.Uuid, primary_key=True),
    sa.Column("certificate_authority_id", sa.Uuid, nullable=False),
    sa.Column("credential_id", sa.String(500), nullable=False),
    sa.Column("key_digest", sa.String(64), nullable=False),
    sa.Column("multisign", sa.BigInteger, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("token_version", sa.BigInteger, nullable=False),
    sa.Column("tokens", sa.LargeBinary),
    sa.Index(
        "ca_access_credential",
        "certificate_authority_id",
        "credential_id",
        unique=True,
        postgresql_where=sa.text("state <> 'deleted'"),
    ),
    # One key has one grant at a time, whatever profile it was registered by: two would add up their limits.
    sa.Index("ca_access_key", "key_digest", unique=True, postgresql_where=sa.text("state <> 'deleted'")),
)
"""What we may do with a certificate now: its newest epoch, its tokens. state: good, withdrawn, given-up, deleted."""

EPOCH = sa.Table(
    "epoch",
    METADATA,
    sa.Column("certificate_id", sa.Uuid, primary_key=True),
    sa.Column("epoch", sa.Integer, primary_key=True),
    sa.Column("certificate_authority_id", sa.Uuid, nullable=False),
    sa.Column("granted_at", INSTANT, nullable=False),
    sa.Column("expires_at", INSTANT, nullable=False),
    sa.Column("withdrawn_at", INSTANT),
    sa.Column("withdrawn_by", sa.String(24)),
    sa.CheckConstraint("epoch >= 1"),
    sa.Index("epoch_withdrawn", "certificate_authority_id", "withdrawn_at", postgresql_where=sa.text("withdrawn_at IS NOT NULL")),
)
"""Every epoch ever assigned: the fence looks here."""

TO_REVOKE = sa.Table(
    "to_revoke",
    METADATA,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("certificate_authority_id", sa.Uuid, nullable=False),
    sa.Column("refresh_token", sa.LargeBinary, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", INSTANT, nullable=False),
)
"""Tokens that are to be revoked at their CA, by a worker, until it confirms or a day has passed."""

outbox(METADATA)
