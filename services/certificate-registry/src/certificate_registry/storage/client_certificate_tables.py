"""The tables around client certificates: what was ordered, what a contact may fetch, messages to hand on, who is withdrawn."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from certificate_registry.client_certificate import IssuedBy, Status, WithdrawnBy
from certificate_registry.storage.tables import Row


class ClientCertificateRow(Row):
    """The TLS certificate of one client service, from its order on. No contact is needed where a request came with it.

    Who the contact is, is known until nothing can be delivered any more, or the certificate is over.
    """

    __tablename__ = "client_certificate"
    __table_args__ = (
        CheckConstraint("status IN ('ordered','issued','withdrawn','expired')", name="status"),
        CheckConstraint("(issued_at IS NULL) = (certificate IS NULL)", name="issued"),
        Index("ix_client_certificate_due_at", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_client_certificate_contact", "id", postgresql_where=text("email IS NOT NULL AND status <> 'issued'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), index=True)
    client_service_id: Mapped[UUID] = mapped_column(ForeignKey("client_service.id"), index=True)
    client_name: Mapped[str]
    contact_name: Mapped[str | None]
    email: Mapped[str | None]
    mobile: Mapped[str | None]
    status: Mapped[Status] = mapped_column(Text)
    ordered_at: Mapped[datetime]
    ordered_by: Mapped[UUID]
    loss_digest: Mapped[str | None] = mapped_column(unique=True)  # SHA-256 of the token by which the contact reports a loss
    issued_at: Mapped[datetime | None]
    issued_by: Mapped[IssuedBy | None] = mapped_column(Text)
    certificate: Mapped[bytes | None]  # DER
    sha256: Mapped[str | None] = mapped_column(unique=True)
    serial_number: Mapped[str | None]  # hexadecimal
    valid_from: Mapped[datetime | None]
    valid_until: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    withdrawn_by: Mapped[WithdrawnBy | None] = mapped_column(Text)
    withdrawal_reason: Mapped[str | None]
    warned_days: Mapped[int | None]
    due_at: Mapped[datetime | None]


class RetrievalRow(Row):
    """What a contact may fetch, and how far that is. Link, password and session are known by their digests only.

    `attempts_left` is counted before a password is compared. The file is sealed, and gone with the last column of it once it was
    handed out; so is its password.
    """

    __tablename__ = "retrieval"
    __table_args__ = (
        CheckConstraint("attempts_left >= 0", name="attempts"),
        Index("ix_retrieval_forget_at", "forget_at", postgresql_where=text("forget_at IS NOT NULL")),
    )

    client_certificate_id: Mapped[UUID] = mapped_column(ForeignKey("client_certificate.id"), primary_key=True)
    link_digest: Mapped[str] = mapped_column(unique=True)
    link_until: Mapped[datetime]
    password_digest: Mapped[str | None]  # of the one-time password; None once it was used
    password_until: Mapped[datetime]
    passwords_sent: Mapped[int]
    attempts_left: Mapped[int]
    session_digest: Mapped[str | None]
    session_until: Mapped[datetime | None]
    file: Mapped[bytes | None]  # sealed: PKCS#12, its password and the certificate in it
    file_size: Mapped[int | None]
    file_sha256: Mapped[str | None]
    handed_out: Mapped[int]  # bytes of the file, from its first, that were on their way to this browser
    forget_at: Mapped[datetime | None]  # when an unfinished file is destroyed


class PersonalMessageRow(Row):
    """A mail or SMS for the notifier, sealed; gone once it has it. Times are the host's, but `useless_from`: the service's."""

    __tablename__ = "personal_message"
    __table_args__ = (Index("ix_personal_message_next_attempt_at", "next_attempt_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    sealed: Mapped[bytes]
    attempts: Mapped[int]
    next_attempt_at: Mapped[datetime]
    useless_from: Mapped[datetime | None]
    traceparent: Mapped[str | None]


class WithdrawnListRow(Row):
    """The newest list of withdrawn client certificates (CRL). One row."""

    __tablename__ = "withdrawn_list"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int]
    withdrawn: Mapped[int]  # how many had ever been withdrawn when it was made
    next_update: Mapped[datetime]
    body: Mapped[bytes]  # DER
