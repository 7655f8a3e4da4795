"""`/accounts`: issuer companies."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry.roles import AccountMismatch, Caller, NotAllowed
from certificate_registry.routes.fields import Input, Language, Name, Page, Paging, Search, Zone
from certificate_registry.routes.parts import AppParts, Operator, at
from certificate_registry.storage.audit_trail import record
from certificate_registry.storage.leaving import delete_account
from certificate_registry.storage.sight import one_seen, page_of, seen
from certificate_registry.storage.tables import AccountRow, OperatorRow
from certificate_registry.storage.told import tell

router = APIRouter(prefix="/accounts", tags=["accounts"])
Status = Literal["registered", "active", "suspended", "blocked", "deleted"]


class AccountShown(BaseModel):
    """An account."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    status: Status
    zone: str
    notice_hour: int
    language: str
    brought_by: UUID | None
    created_at: datetime


class NewAccount(Input):
    """An account as written. One that an administrator makes is active at once, a partner's waits for approval."""

    name: Name
    zone: Zone = "Europe/Lisbon"
    notice_hour: int = Field(default=9, ge=0, le=23)
    language: Language = "en"
    status: Literal["registered", "active"] | None = None
    brought_by: UUID | None = None


class AccountChange(Input):
    """What to change; a field left out stays."""

    name: Name | None = None
    zone: Zone | None = None
    notice_hour: int | None = Field(default=None, ge=0, le=23)
    language: Language | None = None
    status: Literal["active", "suspended", "blocked", "deleted"] | None = None


class AccountQuery(Paging):
    """The list's filters."""

    name: Search | None = None
    status: Status | None = None


@router.get("")
async def list_accounts(parts: AppParts, caller: Operator, query: Annotated[AccountQuery, Query()]) -> Page[AccountShown]:
    """The accounts this operator sees, by name."""
    statement = seen(caller, AccountRow)
    if query.name:
        statement = statement.where(AccountRow.name.icontains(query.name, autoescape=True))
    statement = statement.where(AccountRow.status == query.status if query.status else AccountRow.status != "deleted")
    async with parts.sessions() as session:
        rows, total = await page_of(session, statement, [AccountRow.name, AccountRow.id], query.page, query.page_size)
    items = [AccountShown.model_validate(row) for row in rows]
    return Page(items=items, page=query.page, page_size=query.page_size, total=total)


@router.post("", status_code=201)
async def create_account(parts: AppParts, caller: Operator, new: NewAccount, response: Response) -> AccountShown:
    """Administrators and partners bring accounts; only administrators approve them."""
    caller.writes("account")
    partner = caller.role == "partner"
    if partner and (new.status == "active" or new.brought_by not in {None, caller.operator_id}):
        raise NotAllowed("Only an administrator approves an account, or says who brought it.")
    now = parts.clock()
    row = AccountRow(
        id=uuid4(),
        version=0,
        name=new.name,
        status="registered" if partner else new.status or "active",
        zone=new.zone,
        notice_hour=new.notice_hour,
        language=new.language,
        brought_by=caller.operator_id if partner else new.brought_by,
        created_at=now,
    )
    async with parts.sessions.begin() as session:
        if new.brought_by and not partner:
            await _demand_partner(session, new.brought_by)
        session.add(row)
        await tell(session, row, "created", now)
        _record(session, "created", caller, row, now, status=row.status)
    response.headers.update(at(row.id, "accounts"))
    return AccountShown.model_validate(row)


@router.get("/{account_id}")
async def read_account(parts: AppParts, caller: Operator, account_id: UUID) -> AccountShown:
    """One account."""
    async with parts.sessions() as session:
        return AccountShown.model_validate(await one_seen(session, caller, AccountRow, account_id))


@router.patch("/{account_id}")
async def change_account(parts: AppParts, caller: Operator, account_id: UUID, change: AccountChange) -> AccountShown:
    """Edits an account; its status is an administrator's to set. A deletion takes all that is the account's with it."""
    now = parts.clock()
    async with parts.sessions.begin() as session:
        row = await one_seen(session, caller, AccountRow, account_id, lock=True)
        caller.writes("account")
        caller.demand_working(row.status)
        if row.status == "deleted":
            raise AccountDeleted("The account is deleted. Nothing of it can be changed.")
        wanted = change.model_dump(exclude_none=True)
        changed = {name: value for name, value in wanted.items() if getattr(row, name) != value}
        if "status" in changed and caller.role != "administrator":
            raise NotAllowed("Only an administrator sets an account's status.")
        if changed.get("status") == "deleted":
            await delete_account(session, row, caller.operator_id, now)
        elif changed:
            for name, value in changed.items():
                setattr(row, name, value)
            await tell(session, row, changed.get("status", "edited"), now)
        if changed:
            _record(session, changed.get("status", "edited"), caller, row, now, fields=sorted(changed))
    return AccountShown.model_validate(row)


async def _demand_partner(session: AsyncSession, operator_id: UUID) -> None:
    operator = await session.get(OperatorRow, operator_id)
    if operator is None or operator.role != "partner":
        raise AccountMismatch("brought_by names no partner operator. Correct it or leave it out.")


class AccountDeleted(Exception):
    """The account is deleted."""


def _record(session: AsyncSession, action: str, caller: Caller, row: AccountRow, now: datetime, **detail: object) -> None:
    record(session, action, actor=caller.operator_id, kind="account", id=row.id, account_id=row.id, now=now, **detail)
