"""CA profiles, walks, access with its epochs, tokens to revoke, the outbox."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from messaging.outbox import create_outbox

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_authorities()
    create_walks()
    create_access()
    create_outbox(op)


def create_authorities() -> None:
    op.create_table(
        "certificate_authority",
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


def create_walks() -> None:
    op.create_table(
        "authorisation",
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
    )
    op.create_index("authorisation_open", "authorisation", ["begun_at"], postgresql_where=sa.text("status LIKE 'awaiting%'"))


def create_access() -> None:
    op.create_table(
        "ca_access",
        sa.Column("certificate_id", sa.Uuid, primary_key=True),
        sa.Column("certificate_authority_id", sa.Uuid, nullable=False),
        sa.Column("credential_id", sa.String(500), nullable=False),
        sa.Column("key_digest", sa.String(64), nullable=False),
        sa.Column("multisign", sa.BigInteger, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("token_version", sa.BigInteger, nullable=False),
        sa.Column("tokens", sa.LargeBinary),
    )
    credential = ["certificate_authority_id", "credential_id"]
    op.create_index("ca_access_credential", "ca_access", credential, unique=True, postgresql_where=sa.text("state <> 'deleted'"))
    op.create_table(
        "epoch",
        sa.Column("certificate_id", sa.Uuid, primary_key=True),
        sa.Column("epoch", sa.Integer, primary_key=True),
        sa.Column("certificate_authority_id", sa.Uuid, nullable=False),
        sa.Column("granted_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("withdrawn_at", INSTANT),
        sa.Column("withdrawn_by", sa.String(24)),
        sa.CheckConstraint("epoch >= 1"),
    )
    withdrawn = ["certificate_authority_id", "withdrawn_at"]
    op.create_index("epoch_withdrawn", "epoch", withdrawn, postgresql_where=sa.text("withdrawn_at IS NOT NULL"))
    op.create_table(
        "to_revoke",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("certificate_authority_id", sa.Uuid, nullable=False),
        sa.Column("refresh_token", sa.LargeBinary, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", INSTANT, nullable=False),
    )
