"""Grants, their epochs and allowances, usage, what is known of accounts and certificates, the outbox."""

import sqlalchemy as sa
from alembic import op

from messaging.outbox import create_outbox

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_grants()
    create_allowances()
    create_usage()
    create_projections()
    create_outbox(op)


def create_grants() -> None:
    op.create_table(
        "access_grant",
        sa.Column("certificate_id", sa.Uuid, primary_key=True),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("last_expired_epoch", sa.Integer),
        sa.Column("last_expired_reason", sa.String(10)),
        sa.Column("last_expired_at", INSTANT),
        sa.Column("next_due_at", INSTANT),
        sa.Column("to_tell", sa.Boolean, nullable=False),
        sa.Column("told_at", INSTANT),
    )
    op.create_index("access_grant_due", "access_grant", ["next_due_at"], postgresql_where=sa.text("next_due_at IS NOT NULL"))
    op.create_index("access_grant_to_tell", "access_grant", ["told_at"], postgresql_where=sa.text("to_tell"))
    op.create_table(
        "grant_epoch",
        sa.Column("certificate_id", sa.Uuid, primary_key=True),
        sa.Column("epoch", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("granted_at", INSTANT, nullable=False),
        sa.Column("expires_at", INSTANT, nullable=False),
        sa.Column("warn_before_s", sa.BigInteger, nullable=False),
        sa.Column("warn_above_bp", sa.Integer, nullable=False),
        sa.Column("usage_limit", sa.BigInteger, nullable=False),
        sa.Column("settled", sa.BigInteger, nullable=False),
        sa.Column("forfeited", sa.BigInteger, nullable=False),
        sa.Column("reserved", sa.BigInteger, nullable=False),
        sa.Column("counted", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("expired_reason", sa.String(10)),
        sa.Column("crossing_time_on", sa.Date),
        sa.Column("crossing_usage_on", sa.Date),
        sa.Column("daily_on", sa.Date),
        sa.ForeignKeyConstraint(["certificate_id"], ["access_grant.certificate_id"], name="grant_epoch_of_grant"),
        sa.CheckConstraint(
            "settled >= 0 AND forfeited >= 0 AND reserved >= 0 AND settled + forfeited + reserved <= usage_limit",
            name="within_limit",
        ),
        sa.CheckConstraint("counted >= 0 AND counted <= reserved", name="counted_is_reserved"),
        sa.CheckConstraint("state IN ('active', 'expired', 'superseded')", name="epoch_state"),
    )


def create_allowances() -> None:
    op.create_table(
        "allowance",
        sa.Column("allowance_id", sa.Uuid, primary_key=True),
        sa.Column("certificate_id", sa.Uuid, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("client_service_id", sa.Uuid, nullable=False),
        sa.Column("holder", sa.String(100), nullable=False),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.Column("valid_for_ms", sa.Integer, nullable=False),
        sa.Column("near", sa.Boolean, nullable=False),
        sa.Column("not_after", INSTANT, nullable=False),
        sa.Column("applied", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.ForeignKeyConstraint(
            ["certificate_id", "epoch"], ["grant_epoch.certificate_id", "grant_epoch.epoch"], name="allowance_of_epoch"
        ),
        sa.CheckConstraint("n >= 1 AND applied >= 0 AND applied <= n", name="applied_within_block"),
        sa.CheckConstraint("state IN ('open', 'settled', 'forfeited')", name="allowance_state"),
    )
    op.create_index("allowance_open", "allowance", ["certificate_id", "epoch"], postgresql_where=sa.text("state = 'open'"))
    op.create_index("allowance_end", "allowance", ["state", "not_after"])


def create_usage() -> None:
    op.create_table(
        "service_usage",
        sa.Column("client_service_id", sa.Uuid, primary_key=True),
        sa.Column("certificate_id", sa.Uuid, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("total", sa.BigInteger, nullable=False),
        sa.Column("to_tell", sa.Boolean, nullable=False),
        sa.Column("told_at", INSTANT),
        sa.CheckConstraint("total >= 0", name="usage_total"),
    )
    op.create_index("service_usage_to_tell", "service_usage", ["told_at"], postgresql_where=sa.text("to_tell"))
    op.create_table(
        "usage_day",
        sa.Column("client_service_id", sa.Uuid, primary_key=True),
        sa.Column("certificate_id", sa.Uuid, primary_key=True),
        sa.Column("local_date", sa.Date, primary_key=True),
        sa.Column("signatures", sa.BigInteger, nullable=False),
        sa.CheckConstraint("signatures >= 0", name="usage_day_signatures"),
    )
    op.create_index("usage_day_of_certificate", "usage_day", ["certificate_id", "local_date"])


def create_projections() -> None:
    op.create_table(
        "account",
        sa.Column("account_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("zone", sa.String(64), nullable=False),
        sa.Column("notice_hour", sa.Integer, nullable=False),
    )
    op.create_table(
        "certificate",
        sa.Column("certificate_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
    )
    op.create_index("certificate_of_account", "certificate", ["account_id"])
