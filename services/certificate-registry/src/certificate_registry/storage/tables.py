"""The tables. Times are aware UTC and come from the service's clock; the database never supplies one."""

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Date, DateTime, ForeignKey, Index, LargeBinary, MetaData, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from certificate_registry import walk
from contracts.registry import Role
from messaging import outbox

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
outbox(METADATA)

Json = dict[str, Any]


class Row(DeclarativeBase):
    """A row of the registry's database."""

    metadata = METADATA
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text(),
        int: BigInteger(),
        datetime: DateTime(timezone=True),
        date: Date(),
        UUID: Uuid(),
        bytes: LargeBinary(),
        Json: JSONB(),
        list[Any]: JSONB(),
        list[str]: JSONB(none_as_null=True),
        list[UUID]: ARRAY(Uuid()),
    }


class AccountRow(Row):
    """An issuer company."""

    __tablename__ = "account"
    __table_args__ = (CheckConstraint("status IN ('registered','active','suspended','blocked','deleted')", name="status"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    name: Mapped[str]
    status: Mapped[str]
    zone: Mapped[str]
    notice_hour: Mapped[int]
    language: Mapped[str]
    brought_by: Mapped[UUID | None] = mapped_column(index=True)  # the partner operator who brought it
    created_at: Mapped[datetime]


class OperatorRow(Row):
    """A person. `failed_logins` is counted before a password is compared."""

    __tablename__ = "operator"
    __table_args__ = (
        CheckConstraint("status IN ('active','inactive','deleted')", name="status"),
        CheckConstraint("role IN ('administrator','partner','issuer','auditor')", name="role"),
        CheckConstraint("(role = 'issuer') = (account_id IS NOT NULL)", name="account"),
        Index("uq_operator_email", text("lower(email)"), unique=True, postgresql_where=text("status <> 'deleted'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("account.id"), index=True)
    name: Mapped[str]
    email: Mapped[str]
    mobile: Mapped[str | None]
    language: Mapped[str]
    role: Mapped[Role] = mapped_column(Text)
    status: Mapped[str]
    password_hash: Mapped[str | None]  # argon2id
    failed_logins: Mapped[int]
    locked_until: Mapped[datetime | None]
    created_at: Mapped[datetime]


class ApiTokenRow(Row):
    """A bearer token of an operator, known by its digest only."""

    __tablename__ = "api_token"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(ForeignKey("operator.id"), index=True)
    name: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)  # SHA-256, hexadecimal
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]


class CertificateRow(Row):
    """A remote certificate. `pending` until its registration is completed: then it has facts, is listed and told."""

    __tablename__ = "certificate"
    __table_args__ = (
        CheckConstraint("status IN ('pending','active','inactive','deleted')", name="status"),
        CheckConstraint("status = 'pending' OR credential_id IS NOT NULL", name="facts"),
        Index("ix_certificate_account_id_registered_at", "account_id", "registered_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    alias: Mapped[str]
    registered_at: Mapped[datetime]
    certificate_authority_id: Mapped[UUID]
    certificate_authority_name: Mapped[str]
    status: Mapped[str]
    scope_of_use: Mapped[str]
    credential_id: Mapped[str | None]
    subject: Mapped[str | None]
    issuer: Mapped[str | None]
    serial_number: Mapped[str | None]
    valid_from: Mapped[datetime | None]
    valid_until: Mapped[datetime | None]
    key_algorithm: Mapped[str | None]
    key_bits: Mapped[int | None]
    profile: Mapped[str | None]
    chain: Mapped[list[str] | None]  # base64 DER, end entity first
    multisign: Mapped[int | None]


class ClientServiceRow(Row):
    """Software that signs with one certificate."""

    __tablename__ = "client_service"
    __table_args__ = (
        CheckConstraint("status IN ('active','inactive','deleted')", name="status"),
        CheckConstraint("(status = 'inactive') = (reason IS NOT NULL)", name="reason"),
        CheckConstraint("activated_for_epoch >= 0", name="epoch"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), index=True)
    certificate_id: Mapped[UUID] = mapped_column(ForeignKey("certificate.id"), index=True)
    name: Mapped[str]
    client_id: Mapped[str] = mapped_column(unique=True)
    secret_sha256: Mapped[str]
    status: Mapped[str]
    reason: Mapped[str | None]
    activated_for_epoch: Mapped[int]
    created_at: Mapped[datetime]
    client_certificates: Mapped[list[Any]] = mapped_column(default=list)  # those issued, as they are told
    certificate_required: Mapped[bool] = mapped_column(default=False)
    jwks: Mapped[list[Any]] = mapped_column(default=list)


class WalkRow(Row):
    """A registration's or a renewal's walk to the CA. Ticket, state and cookie are known by their digests only."""

    __tablename__ = "walk"
    __table_args__ = (
        CheckConstraint("kind IN ('registration','renewal')", name="kind"),
        Index("ix_walk_open", "checked_at", postgresql_where=text("ended_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[walk.Kind] = mapped_column(Text)
    certificate_id: Mapped[UUID] = mapped_column(ForeignKey("certificate.id"), index=True)
    account_id: Mapped[UUID]
    operator_id: Mapped[UUID]
    certificate_authority_id: Mapped[UUID]
    status: Mapped[str]
    reason: Mapped[str | None]
    begun_at: Mapped[datetime]
    checked_at: Mapped[datetime]  # when the connector was last asked
    ended_at: Mapped[datetime | None]
    offered: Mapped[list[Any]]
    asks: Mapped[list[str]]
    answer_by: Mapped[datetime | None]
    attempts_left: Mapped[int | None]
    ticket_digest: Mapped[str | None] = mapped_column(unique=True)
    ticket_until: Mapped[datetime | None]
    ticket_used_at: Mapped[datetime | None]
    state_digest: Mapped[str | None] = mapped_column(unique=True)
    cookie_digest: Mapped[str | None]
    traceparent: Mapped[str | None]  # of the request that began it
    state_used_at: Mapped[datetime | None]  # when the CA's callback came


class AccessGrantRow(Row):
    """The grant monitor's newest word on a certificate, whole."""

    __tablename__ = "access_grant"

    certificate_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    told: Mapped[Json]


class UsageRow(Row):
    """The grant monitor's newest word on what a client service signed, whole."""

    __tablename__ = "usage"

    client_service_id: Mapped[UUID] = mapped_column(primary_key=True)
    version: Mapped[int]
    told: Mapped[Json]


class NoticeRow(Row):
    """What became of one mail of a notice."""

    __tablename__ = "notice"
    __table_args__ = (CheckConstraint("status IN ('sent','failed')", name="status"),)

    notice_id: Mapped[UUID] = mapped_column(primary_key=True)
    operator_id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(index=True)
    kind: Mapped[str]
    local_date: Mapped[date]
    certificate_ids: Mapped[list[UUID]]
    message_id: Mapped[str]
    status: Mapped[str]
    at: Mapped[datetime]
    reason: Mapped[str | None]


class AuditRow(Row):
    """Who did what when. Written in the transaction of the change itself; never changed."""

    __tablename__ = "audit_record"
    __table_args__ = (Index("ix_audit_record_account_id_at", "account_id", "at"), Index("ix_audit_record_object_id", "object_id"))

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str]  # an operator's id, or the name of a service
    action: Mapped[str]
    object_kind: Mapped[str]
    object_id: Mapped[str | None]
    account_id: Mapped[UUID | None]
    trace_id: Mapped[str | None]
    detail: Mapped[Json]
