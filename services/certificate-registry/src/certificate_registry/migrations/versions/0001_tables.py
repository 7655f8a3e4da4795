"""The registry's first tables."""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from messaging.outbox import create_outbox

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_outbox(op)
    create_accounts()
    create_operators()
    create_certificates()
    create_client_services()
    create_walks()
    create_what_is_heard()
    create_audit_trail()


def number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def words(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def ident(name: str, *, nullable: bool = False) -> sa.Column[UUID]:
    return sa.Column(name, sa.Uuid(), nullable=nullable)


def instant(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def document(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, JSONB(), nullable=nullable)


def rule(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=f"pk_{table}")


def unique(table: str, column: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(column, name=f"uq_{table}_{column}")


def refers(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [to], name=f"fk_{table}_{column}")


def create_accounts() -> None:
    op.create_table(
        "account",
        ident("id"),
        number("version"),
        words("name"),
        words("status"),
        words("zone"),
        number("notice_hour"),
        words("language"),
        ident("brought_by", nullable=True),
        instant("created_at"),
        key("account", "id"),
        rule("account", "status", "status IN ('registered','active','suspended','blocked','deleted')"),
    )
    op.create_index("ix_account_brought_by", "account", ["brought_by"])


def create_operators() -> None:
    op.create_table(
        "operator",
        ident("id"),
        number("version"),
        ident("account_id", nullable=True),
        words("name"),
        words("email"),
        words("mobile", nullable=True),
        words("language"),
        words("role"),
        words("status"),
        words("password_hash", nullable=True),
        number("failed_logins"),
        instant("locked_until", nullable=True),
        instant("created_at"),
        key("operator", "id"),
        refers("operator", "account_id", "account.id"),
        rule("operator", "status", "status IN ('active','inactive','deleted')"),
        rule("operator", "role", "role IN ('administrator','partner','issuer','auditor')"),
        rule("operator", "account", "(role = 'issuer') = (account_id IS NOT NULL)"),
    )
    op.create_index("ix_operator_account_id", "operator", ["account_id"])
    live = sa.text("status <> 'deleted'")
    op.create_index("uq_operator_email", "operator", [sa.text("lower(email)")], unique=True, postgresql_where=live)
    op.create_table(
        "api_token",
        ident("id"),
        ident("operator_id"),
        words("name"),
        words("digest"),
        instant("created_at"),
        instant("expires_at", nullable=True),
        instant("withdrawn_at", nullable=True),
        key("api_token", "id"),
        refers("api_token", "operator_id", "operator.id"),
        unique("api_token", "digest"),
    )
    op.create_index("ix_api_token_operator_id", "api_token", ["operator_id"])


def create_certificates() -> None:
    op.create_table(
        "certificate",
        ident("id"),
        number("version"),
        ident("account_id"),
        words("alias"),
        instant("registered_at"),
        ident("certificate_authority_id"),
        words("certificate_authority_name"),
        words("status"),
        words("scope_of_use"),
        words("credential_id", nullable=True),
        words("subject", nullable=True),
        words("issuer", nullable=True),
        words("serial_number", nullable=True),
        instant("valid_from", nullable=True),
        instant("valid_until", nullable=True),
        words("key_algorithm", nullable=True),
        number("key_bits", nullable=True),
        words("profile", nullable=True),
        document("chain", nullable=True),
        number("multisign", nullable=True),
        key("certificate", "id"),
        refers("certificate", "account_id", "account.id"),
        rule("certificate", "status", "status IN ('pending','active','inactive','deleted')"),
        rule("certificate", "facts", "status = 'pending' OR credential_id IS NOT NULL"),
    )
    op.create_index("ix_certificate_account_id_registered_at", "certificate", ["account_id", "registered_at"])


def create_client_services() -> None:
    op.create_table(
        "client_service",
        ident("id"),
        number("version"),
        ident("account_id"),
        ident("certificate_id"),
        words("name"),
        words("client_id"),
        words("secret_sha256"),
        words("status"),
        words("reason", nullable=True),
        number("activated_for_epoch"),
        instant("created_at"),
        key("client_service", "id"),
        refers("client_service", "account_id", "account.id"),
        refers("client_service", "certificate_id", "certificate.id"),
        unique("client_service", "client_id"),
        rule("client_service", "status", "status IN ('active','inactive','deleted')"),
        rule("client_service", "reason", "(status = 'inactive') = (reason IS NOT NULL)"),
        rule("client_service", "epoch", "activated_for_epoch >= 0"),
    )
    op.create_index("ix_client_service_account_id", "client_service", ["account_id"])
    op.create_index("ix_client_service_certificate_id", "client_service", ["certificate_id"])


def create_walks() -> None:
    op.create_table(
        "walk",
        ident("id"),
        words("kind"),
        ident("certificate_id"),
        ident("account_id"),
        ident("operator_id"),
        ident("certificate_authority_id"),
        words("status"),
        words("reason", nullable=True),
        instant("begun_at"),
        instant("checked_at"),
        instant("ended_at", nullable=True),
        document("offered"),
        document("asks"),
        instant("answer_by", nullable=True),
        number("attempts_left", nullable=True),
        words("ticket_digest", nullable=True),
        instant("ticket_until", nullable=True),
        instant("ticket_used_at", nullable=True),
        words("state_digest", nullable=True),
        words("cookie_digest", nullable=True),
        key("walk", "id"),
        refers("walk", "certificate_id", "certificate.id"),
        unique("walk", "ticket_digest"),
        unique("walk", "state_digest"),
        rule("walk", "kind", "kind IN ('registration','renewal')"),
    )
    op.create_index("ix_walk_certificate_id", "walk", ["certificate_id"])
    op.create_index("ix_walk_open", "walk", ["checked_at"], postgresql_where=sa.text("ended_at IS NULL"))


def create_what_is_heard() -> None:
    for table, id_column in (("access_grant", "certificate_id"), ("usage", "client_service_id")):
        op.create_table(table, ident(id_column), number("version"), document("told"), key(table, id_column))
    op.create_table(
        "notice",
        ident("notice_id"),
        ident("operator_id"),
        ident("account_id"),
        words("kind"),
        sa.Column("local_date", sa.Date(), nullable=False),
        sa.Column("certificate_ids", ARRAY(sa.Uuid()), nullable=False),
        words("message_id"),
        words("status"),
        instant("at"),
        words("reason", nullable=True),
        key("notice", "notice_id", "operator_id"),
        rule("notice", "status", "status IN ('sent','failed')"),
    )
    op.create_index("ix_notice_account_id", "notice", ["account_id"])


def create_audit_trail() -> None:
    op.create_table(
        "audit_record",
        number("id"),
        instant("at"),
        words("actor"),
        words("action"),
        words("object_kind"),
        words("object_id", nullable=True),
        ident("account_id", nullable=True),
        words("trace_id", nullable=True),
        document("detail"),
        key("audit_record", "id"),
    )
    op.create_index("ix_audit_record_account_id_at", "audit_record", ["account_id", "at"])
    op.create_index("ix_audit_record_object_id", "audit_record", ["object_id"])
