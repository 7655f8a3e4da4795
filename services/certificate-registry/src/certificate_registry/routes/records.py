"""`/notices` and `/audit-trail`: what was mailed, and who did what when. Read only."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from certificate_registry.routes.fields import Moment, Page, Paging, Search
from certificate_registry.routes.parts import AppParts, Operator
from certificate_registry.storage.sight import page_of, seen
from certificate_registry.storage.tables import AuditRow, NoticeRow
from contracts.notices import NoticeKind

notices = APIRouter(prefix="/notices", tags=["notices"])
audit_trail = APIRouter(prefix="/audit-trail", tags=["audit trail"])


class NoticeShown(BaseModel):
    """One mail of a notice, and what became of it."""

    model_config = ConfigDict(from_attributes=True)

    notice_id: UUID
    operator_id: UUID
    account_id: UUID
    kind: NoticeKind
    local_date: date
    certificate_ids: list[UUID]
    message_id: str
    status: Literal["sent", "failed"]
    at: datetime
    reason: str | None


class NoticeQuery(Paging):
    """The list's filters."""

    account_id: UUID | None = None
    operator_id: UUID | None = None
    certificate_id: UUID | None = None
    kind: NoticeKind | None = None
    status: Literal["sent", "failed"] | None = None


class AuditShown(BaseModel):
    """One thing that was done."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    at: datetime
    actor: str
    action: str
    object_kind: str
    object_id: str | None
    account_id: UUID | None
    trace_id: str | None
    detail: dict[str, Any]


class AuditQuery(Paging):
    """The list's filters."""

    account_id: UUID | None = None
    actor: Search | None = None
    action: Search | None = None
    object_kind: Search | None = None
    object_id: Search | None = None
    since: Moment | None = None
    until: Moment | None = None


@notices.get("")
async def list_notices(parts: AppParts, caller: Operator, query: Annotated[NoticeQuery, Query()]) -> Page[NoticeShown]:
    """The mails this operator sees, the newest first."""
    statement = seen(caller, NoticeRow)
    for name in ("account_id", "operator_id", "kind", "status"):
        if (wanted := getattr(query, name)) is not None:
            statement = statement.where(getattr(NoticeRow, name) == wanted)
    if query.certificate_id:
        statement = statement.where(NoticeRow.certificate_ids.contains([query.certificate_id]))
    order = [NoticeRow.at.desc(), NoticeRow.notice_id, NoticeRow.operator_id]
    async with parts.sessions() as session:
        rows, total = await page_of(session, statement, order, query.page, query.page_size)
    items = [NoticeShown.model_validate(row) for row in rows]
    return Page(items=items, page=query.page, page_size=query.page_size, total=total)


@audit_trail.get("")
async def list_audit_trail(parts: AppParts, caller: Operator, query: Annotated[AuditQuery, Query()]) -> Page[AuditShown]:
    """What was done, the newest first."""
    statement = seen(caller, AuditRow)
    for name in ("account_id", "actor", "action", "object_kind", "object_id"):
        if (wanted := getattr(query, name)) is not None:
            statement = statement.where(getattr(AuditRow, name) == wanted)
    if query.since:
        statement = statement.where(AuditRow.at >= query.since)
    if query.until:
        statement = statement.where(AuditRow.at < query.until)
    async with parts.sessions() as session:
        rows, total = await page_of(session, statement, [AuditRow.at.desc(), AuditRow.id.desc()], query.page, query.page_size)
    items = [AuditShown.model_validate(row) for row in rows]
    return Page(items=items, page=query.page, page_size=query.page_size, total=total)
