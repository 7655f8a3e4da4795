"""Client certificates: ordered, fetched by a contact, withdrawn; what of them a client service's state tells."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    extend_client_services()
    create_client_certificates()
    create_retrievals()
    create_personal_messages()
    create_withdrawn_list()


def text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def instant(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def ident(name: str) -> sa.Column[UUID]:
    return sa.Column(name, sa.Uuid(), nullable=False)


def content(name: str, *, nullable: bool = False) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=nullable)


def refers(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [to], name=f"fk_{table}_{column}")


def unique(table: str, column: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(column, name=f"uq_{table}_{column}")


def rule(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def extend_client_services() -> None:
    """Rows written by the old code beside the new have the defaults."""
    for column in ("client_certificates", "jwks"):
        op.add_column("client_service", sa.Column(column, JSONB(), nullable=False, server_default=sa.text("'[]'")))
    required: sa.Column[bool] = sa.Column("certificate_required", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("client_service", required)


def create_client_certificates() -> None:
    op.create_table(
        "client_certificate",
        ident("id"),
        ident("account_id"),
        ident("client_service_id"),
        text("client_name"),
        text("contact_name", nullable=True),
        text("email", nullable=True),
        text("mobile", nullable=True),
        text("status"),
        instant("ordered_at"),
        ident("ordered_by"),
        text("loss_digest", nullable=True),
        instant("issued_at", nullable=True),
        text("issued_by", nullable=True),
        content("certificate", nullable=True),
        text("sha256", nullable=True),
        text("serial_number", nullable=True),
        instant("valid_from", nullable=True),
        instant("valid_until", nullable=True),
        instant("withdrawn_at", nullable=True),
        text("withdrawn_by", nullable=True),
        text("withdrawal_reason", nullable=True),
        number("warned_days", nullable=True),
        instant("due_at", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_client_certificate"),
        refers("client_certificate", "account_id", "account.id"),
        refers("client_certificate", "client_service_id", "client_service.id"),
        unique("client_certificate", "loss_digest"),
        unique("client_certificate", "sha256"),
        rule("client_certificate", "status", "status IN ('ordered','issued','withdrawn','expired')"),
        rule("client_certificate", "issued", "(issued_at IS NULL) = (certificate IS NULL)"),
    )
    for column in ("account_id", "client_service_id"):
        op.create_index(f"ix_client_certificate_{column}", "client_certificate", [column])
    due = sa.text("due_at IS NOT NULL")
    op.create_index("ix_client_certificate_due_at", "client_certificate", ["due_at"], postgresql_where=due)


def create_retrievals() -> None:
    op.create_table(
        "retrieval",
        ident("client_certificate_id"),
        text("link_digest"),
        instant("link_until"),
        text("password_digest", nullable=True),
        instant("password_until"),
        number("passwords_sent"),
        number("attempts_left"),
        text("session_digest", nullable=True),
        instant("session_until", nullable=True),
        content("file", nullable=True),
        number("file_size", nullable=True),
        text("file_sha256", nullable=True),
        number("handed_out"),
        instant("forget_at", nullable=True),
        sa.PrimaryKeyConstraint("client_certificate_id", name="pk_retrieval"),
        refers("retrieval", "client_certificate_id", "client_certificate.id"),
        unique("retrieval", "link_digest"),
        rule("retrieval", "attempts", "attempts_left >= 0"),
    )
    unfinished = sa.text("forget_at IS NOT NULL")
    op.create_index("ix_retrieval_forget_at", "retrieval", ["forget_at"], postgresql_where=unfinished)


def create_personal_messages() -> None:
    op.create_table(
        "personal_message",
        ident("id"),
        content("sealed"),
        number("attempts"),
        instant("next_attempt_at"),
        instant("useless_from", nullable=True),
        text("traceparent", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_personal_message"),
    )
    op.create_index("ix_personal_message_next_attempt_at", "personal_message", ["next_attempt_at"])


def create_withdrawn_list() -> None:
    op.create_table(
        "withdrawn_list",
        sa.Column("id", sa.BigInteger(), nullable=False, autoincrement=False),
        number("number"),
        number("withdrawn"),
        instant("next_update"),
        content("body"),
        sa.PrimaryKeyConstraint("id", name="pk_withdrawn_list"),
    )
