"""What the notifier tells: what became of a mail it owed. A log, keyed by account id."""

from datetime import date
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime

from contracts.envelope import Told

NoticeKind = Literal["crossing-time", "crossing-usage", "daily", "expired", "renewed"]


class NoticeSent(Told):
    """One mail of a notice was accepted by the mail server. Heard by: certificate-registry (shows it)."""

    topic: ClassVar[str] = "notices"
    type: ClassVar[str] = "notice-sent.v1"
    key_field: ClassVar[str] = "account_id"

    notice_id: UUID
    account_id: UUID
    operator_id: UUID
    kind: NoticeKind
    local_date: date
    certificate_ids: list[UUID]
    message_id: str
    sent_at: AwareDatetime


class NoticeFailed(Told):
    """One mail of a notice failed for good. Heard by: certificate-registry (shows it)."""

    topic: ClassVar[str] = "notices"
    type: ClassVar[str] = "notice-failed.v1"
    key_field: ClassVar[str] = "account_id"

    notice_id: UUID
    account_id: UUID
    operator_id: UUID
    kind: NoticeKind
    local_date: date
    certificate_ids: list[UUID]
    message_id: str
    failed_at: AwareDatetime
    reason: str  # the mail server's code and text, without addresses
