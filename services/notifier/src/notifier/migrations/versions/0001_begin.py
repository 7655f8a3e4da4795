"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from messaging.outbox import create_outbox

revision = "0001"
down_revision = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    create_outbox(op)
    _others()
    _ours()
    _delivered()


def _others() -> None:
    op.create_table(
        "account",
        sa.Column("account_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
    )
    op.create_table(
        "operator",
        sa.Column("operator_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("account_id", sa.Uuid),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
    )
    op.create_index("operator_of_account", "operator", ["account_id"])
    op.create_table(
        "certificate",
        sa.Column("certificate_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("alias", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
    )
    op.create_index("certificate_of_account", "certificate", ["account_id"])
    op.create_table(
        "client_service",
        sa.Column("client_service_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("certificate_id", sa.Uuid, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("activated_for_epoch", sa.BigInteger, nullable=False),
    )
    op.create_index("client_service_of_certificate", "client_service", ["certificate_id"])
    op.create_table(
        "access_grant",
        sa.Column("certificate_id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("told", JSONB, nullable=False),
    )


def _ours() -> None:
    op.create_table(
        "ledger",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("begun_at", INSTANT, nullable=False),
        sa.CheckConstraint("id = 1", name="ledger_is_one"),
    )
    op.create_table(
        "notice",
        sa.Column("notice_id", sa.Uuid, primary_key=True),
        sa.Column("account_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("local_date", sa.Date, nullable=False),
        sa.Column("taken_up_at", INSTANT, nullable=False),
    )
    op.create_table(
        "line",
        sa.Column("line_id", sa.BigInteger, sa.Identity(), primary_key=True),
        sa.Column("certificate_id", sa.Uuid, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("local_date", sa.Date, nullable=False),
        sa.Column("owed_until", INSTANT, nullable=False),
        sa.Column("heard_at", INSTANT, nullable=False),
        sa.Column("notice_id", sa.Uuid, sa.ForeignKey("notice.notice_id", name="line_of_notice")),
        sa.Column("void_reason", sa.Text),
        sa.UniqueConstraint("certificate_id", "epoch", "kind", "local_date", name="line_once"),
        sa.CheckConstraint("kind IN ('crossing-time', 'crossing-usage', 'daily', 'expired', 'renewed')", name="line_kind"),
        sa.CheckConstraint("notice_id IS NULL OR void_reason IS NULL", name="line_decided_once"),
    )
    op.create_index(
        "line_once_an_epoch",
        "line",
        ["certificate_id", "epoch", "kind"],
        unique=True,
        postgresql_where=sa.text("kind <> 'daily'"),
    )
    undecided = sa.text("notice_id IS NULL AND void_reason IS NULL")
    op.create_index("line_open", "line", ["certificate_id"], postgresql_where=undecided)
    op.create_index("line_of_notice_index", "line", ["notice_id"])


def _delivered() -> None:
    op.create_table(
        "mail",
        sa.Column("notice_id", sa.Uuid, primary_key=True),
        sa.Column("operator_id", sa.Uuid, primary_key=True),
        sa.Column("message_id", sa.Text, nullable=False),
        *_attempts(),
        sa.ForeignKeyConstraint(["notice_id"], ["notice.notice_id"], name="mail_of_notice"),
        sa.UniqueConstraint("message_id", name="mail_message_id"),
        sa.CheckConstraint("status IN ('due', 'sent', 'failed', 'void')", name="mail_status"),
    )
    due = sa.text("status = 'due'")
    op.create_index("mail_due", "mail", ["attempts", "next_attempt_at"], postgresql_where=due)
    op.create_index("mail_failed", "mail", ["decided_at"], postgresql_where=sa.text("status = 'failed'"))
    op.create_table(
        "message",
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        *_attempts(),
        sa.CheckConstraint("status IN ('due', 'sent', 'failed')", name="message_status"),
        sa.CheckConstraint("(status = 'due') = (sealed IS NOT NULL)", name="message_body_only_while_due"),
    )
    op.create_index("message_due", "message", ["attempts", "next_attempt_at"], postgresql_where=due)


def _attempts() -> list[sa.Column[object]]:
    return [
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_since", INSTANT, nullable=False),
        sa.Column("next_attempt_at", INSTANT, nullable=False),
        sa.Column("claimed_until", INSTANT),
        sa.Column("decided_at", INSTANT),
    ]
