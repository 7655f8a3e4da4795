"""The tables. Counts are 64-bit, instants are with time zone, and the database itself refuses to overshoot a limit."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Uuid,
    literal_column,
    text,
)

from messaging import outbox

METADATA = MetaData()
INSTANT = DateTime(timezone=True)

ACCESS_GRANT = Table(
    "access_grant",
    METADATA,
    Column("certificate_id", Uuid, primary_key=True),
    Column("epoch", Integer, nullable=False),  # the current one
    Column("version", BigInteger, nullable=False),  # of what was last told
    Column("last_expired_epoch", Integer),
    Column("last_expired_reason", String(10)),
    Column("last_expired_at", INSTANT),
    Column("next_due_at", INSTANT),  # by the service's clock
    Column("to_tell", Boolean, nullable=False),  # counted since it was last told
    Column("told_at", INSTANT),  # the host's unmoved time
    Index("access_grant_due", "next_due_at", postgresql_where=text("next_due_at IS NOT NULL")),
    Index("access_grant_to_tell", "told_at", postgresql_where=text("to_tell")),
)

GRANT_EPOCH = Table(
    "grant_epoch",
    METADATA,
    Column("certificate_id", Uuid, primary_key=True),
    Column("epoch", Integer, primary_key=True, autoincrement=False),
    Column("granted_at", INSTANT, nullable=False),
    Column("expires_at", INSTANT, nullable=False),
    Column("warn_before_s", BigInteger, nullable=False),
    Column("warn_above_bp", Integer, nullable=False),
    Column("usage_limit", BigInteger, nullable=False),
    Column("settled", BigInteger, nullable=False),
    Column("forfeited", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Column("counted", BigInteger, nullable=False),
    Column("state", String(10), nullable=False),
    Column("expired_reason", String(10)),
    Column("crossing_time_on", Date),
    Column("crossing_usage_on", Date),
    Column("daily_on", Date),
    ForeignKeyConstraint(["certificate_id"], ["access_grant.certificate_id"], name="grant_epoch_of_grant"),
    CheckConstraint(
        "settled >= 0 AND forfeited >= 0 AND reserved >= 0 AND settled + forfeited + reserved <= usage_limit",
        name="within_limit",
    ),
    CheckConstraint("counted >= 0 AND counted <= reserved", name="counted_is_reserved"),
    CheckConstraint("state IN ('active', 'expired', 'superseded')", name="epoch_state"),
)

ALLOWANCE = Table(
    "allowance",
    METADATA,
    Column("allowance_id", Uuid, primary_key=True),
    Column("certificate_id", Uuid, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("client_service_id", Uuid, nullable=False),
    Column("holder", String(100), nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("valid_for_ms", Integer, nullable=False),
    Column("near", Boolean, nullable=False),
    Column("not_after", INSTANT, nullable=False),  # the host's unmoved time
    Column("applied", BigInteger, nullable=False),
    Column("state", String(10), nullable=False),
    ForeignKeyConstraint(
        ["certificate_id", "epoch"], ["grant_epoch.certificate_id", "grant_epoch.epoch"], name="allowance_of_epoch"
    ),
    CheckConstraint("n >= 1 AND applied >= 0 AND applied <= n", name="applied_within_block"),
    CheckConstraint("state IN ('open', 'settled', 'forfeited')", name="allowance_state"),
    Index("allowance_open", "certificate_id", "epoch", postgresql_where=text("state = 'open'")),
    Index("allowance_end", "state", "not_after"),
)

OPEN = ALLOWANCE.c.state == literal_column("'open'")  # no parameter, so that the planner sees the index of what is open

SERVICE_USAGE = Table(
    "service_usage",
    METADATA,
    Column("client_service_id", Uuid, primary_key=True),
    Column("certificate_id", Uuid, nullable=False),  # the one it signed with last
    Column("version", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("to_tell", Boolean, nullable=False),
    Column("told_at", INSTANT),  # the host's unmoved time
    CheckConstraint("total >= 0", name="usage_total"),
    Index("service_usage_to_tell", "told_at", postgresql_where=text("to_tell")),
)

USAGE_DAY = Table(
    "usage_day",
    METADATA,
    Column("client_service_id", Uuid, primary_key=True),
    Column("certificate_id", Uuid, primary_key=True),
    Column("local_date", Date, primary_key=True),  # of the account's time zone
    Column("signatures", BigInteger, nullable=False),
    CheckConstraint("signatures >= 0", name="usage_day_signatures"),
    Index("usage_day_of_certificate", "certificate_id", "local_date"),
)

ACCOUNT = Table(
    "account",
    METADATA,
    Column("account_id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("status", String(10), nullable=False),
    Column("zone", String(64), nullable=False),  # IANA name
    Column("notice_hour", Integer, nullable=False),
)

CERTIFICATE = Table(
    "certificate",
    METADATA,
    Column("certificate_id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("account_id", Uuid, nullable=False),
    Column("status", String(10), nullable=False),
    Index("certificate_of_account", "account_id"),
)

outbox(METADATA)
