"""Revoked access tokens, logins of version 1, assertions that were used."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table("revocation", sa.Column("token_id", sa.Text, primary_key=True), sa.Column("ends_at", INSTANT, nullable=False))
    op.create_index("revocation_ends_at", "revocation", ["ends_at"])
    op.create_table(
        "login",
        sa.Column("refresh_digest", sa.LargeBinary, primary_key=True),
        sa.Column("login_id", sa.Uuid, nullable=False, unique=True),
        sa.Column("client_service_id", sa.Uuid, nullable=False),
        sa.Column("secret_digest", sa.LargeBinary, nullable=False),
        sa.Column("by_certificate", sa.Boolean, nullable=False),
        sa.Column("revoked", sa.Boolean, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
    )
    op.create_index("login_ends_at", "login", ["ends_at"])
    op.create_table(
        "spent_assertion",
        sa.Column("client_service_id", sa.Uuid, primary_key=True),
        sa.Column("assertion_id", sa.Text, primary_key=True),
        sa.Column("ends_at", INSTANT, nullable=False),
    )
    op.create_index("spent_assertion_ends_at", "spent_assertion", ["ends_at"])
