"""The tables. What others own is kept as the newest state told; what we own is lines, notices, mails and messages."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from messaging import outbox

METADATA = MetaData()
outbox(METADATA)

INSTANT = DateTime(timezone=True)

ledger = Table(
    "ledger",
    METADATA,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("begun_at", INSTANT, nullable=False),  # what was over before this is history, not news
    CheckConstraint("id = 1", name="ledger_is_one"),
)

account = Table(
    "account",
    METADATA,
    Column("account_id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("language", Text, nullable=False),
)

operator = Table(
    "operator",
    METADATA,
    Column("operator_id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("account_id", Uuid),
    Column("name", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("language", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("status", Text, nullable=False),
    Index("operator_of_account", "account_id"),
)

certificate = Table(
    "certificate",
    METADATA,
    Column("certificate_id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("account_id", Uuid, nullable=False),
    Column("alias", Text, nullable=False),
    Column("status", Text, nullable=False),
    Index("certificate_of_account", "account_id"),
)

client_service = Table(
    "client_service",
    METADATA,
    Column("client_service_id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("certificate_id", Uuid, nullable=False),
    Column("name", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("activated_for_epoch", BigInteger, nullable=False),
    Index("client_service_of_certificate", "certificate_id"),
)

access_grant = Table(
    "access_grant",
    METADATA,
    Column("certificate_id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("told", JSONB, nullable=False),  # contracts.AccessGrant
)

notice = Table(
    "notice",
    METADATA,
    Column("notice_id", Uuid, primary_key=True),
    Column("account_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("local_date", Date, nullable=False),
    Column("taken_up_at", INSTANT, nullable=False),
)

line = Table(
    "line",
    METADATA,
    Column("line_id", BigInteger, Identity(), primary_key=True),
    Column("certificate_id", Uuid, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("local_date", Date, nullable=False),
    Column("owed_until", INSTANT, nullable=False),
    Column("heard_at", INSTANT, nullable=False),  # the host's unmoved time
    Column("notice_id", Uuid, ForeignKey("notice.notice_id", name="line_of_notice")),
    Column("void_reason", Text),
    Column("traceparent", Text),  # of what it was heard of
    UniqueConstraint("certificate_id", "epoch", "kind", "local_date", name="line_once"),
    CheckConstraint("kind IN ('crossing-time', 'crossing-usage', 'daily', 'expired', 'renewed')", name="line_kind"),
    CheckConstraint("notice_id IS NULL OR void_reason IS NULL", name="line_decided_once"),
    Index(
        "line_once_an_epoch",  # whatever the date: all but the daily ones are told once in an epoch
        "certificate_id",
        "epoch",
        "kind",
        unique=True,
        postgresql_where=text("kind <> 'daily'"),
    ),
    Index("line_open", "certificate_id", postgresql_where=text("notice_id IS NULL AND void_reason IS NULL")),
    Index("line_of_notice_index", "notice_id"),
)


def _attempts() -> list[Column[object]]:
    """Columns of what a worker delivers. All instants but `decided_at` are the host's unmoved time."""
    return [
        Column("status", Text, nullable=False),
        Column("reason", Text),
        Column("attempts", Integer, nullable=False),
        Column("due_since", INSTANT, nullable=False),
        Column("next_attempt_at", INSTANT, nullable=False),
        Column("claimed_until", INSTANT),  # somebody tries until then; past and not cleared: the outcome is unknown
        Column("decided_at", INSTANT),
    ]


mail = Table(
    "mail",
    METADATA,
    Column("notice_id", Uuid, primary_key=True),
    Column("operator_id", Uuid, primary_key=True),
    Column("message_id", Text, nullable=False),
    *_attempts(),
    ForeignKeyConstraint(["notice_id"], ["notice.notice_id"], name="mail_of_notice"),
    UniqueConstraint("message_id", name="mail_message_id"),
    CheckConstraint("status IN ('due', 'sent', 'failed', 'void')", name="mail_status"),
    Index("mail_due", "attempts", "next_attempt_at", postgresql_where=text("status = 'due'")),
    Index("mail_failed", "decided_at", postgresql_where=text("status = 'failed'")),
)

message = Table(
    "message",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("sealed", LargeBinary),  # recipient, subject and body; gone once delivered or given up
    *_attempts(),
    CheckConstraint("status IN ('due', 'sent', 'failed')", name="message_status"),
    CheckConstraint("(status = 'due') = (sealed IS NOT NULL)", name="message_body_only_while_due"),
    Index("message_due", "attempts", "next_attempt_at", postgresql_where=text("status = 'due'")),
)
