"""`/operators`: the people of an account, and the platform's own."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry.roles import Caller, NotAllowed, demand_role_given
from certificate_registry.routes.fields import Email, Input, Language, Mobile, Name, Page, Paging, Password, Search
from certificate_registry.routes.parts import AppParts, Operator, at
from certificate_registry.storage.audit_trail import record
from certificate_registry.storage.leaving import delete_operator
from certificate_registry.storage.operators import new_operator
from certificate_registry.storage.sight import one_seen, page_of, seen
from certificate_registry.storage.tables import AccountRow, OperatorRow
from certificate_registry.storage.told import tell
from contracts.registry import Role

router = APIRouter(prefix="/operators", tags=["operators"])


class EmailTaken(Exception):
    """Another operator has this e-mail."""


class OperatorShown(BaseModel):
    """An operator."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    email: str
    role: Role
    status: Literal["active", "inactive", "deleted"]
    name: str
    mobile: str | None
    language: str
    account_id: UUID | None
    created_at: datetime


class NewOperator(Input):
    """An operator as written. An administrator may set the first password."""

    email: Email
    name: Name | None = None  # the e-mail's local part where it is left out
    role: Role = "issuer"
    account_id: UUID | None = None
    mobile: Mobile | None = None
    language: Language = "en"
    password: Password | None = None


class OperatorChange(Input):
    """What to change; a field left out stays. The password is an administrator's or the operator's own to set."""

    name: Name | None = None
    email: Email | None = None
    mobile: Mobile | None = None
    language: Language | None = None
    status: Literal["active", "inactive", "deleted"] | None = None
    password: Password | None = None


class OperatorQuery(Paging):
    """The list's filters."""

    account_id: UUID | None = None
    email: Search | None = None
    role: Role | None = None
    status: Literal["active", "inactive"] | None = None


@router.get("")
async def list_operators(parts: AppParts, caller: Operator, query: Annotated[OperatorQuery, Query()]) -> Page[OperatorShown]:
    """The operators this operator sees, by e-mail."""
    statement = seen(caller, OperatorRow)
    if query.email:
        statement = statement.where(OperatorRow.email.icontains(query.email, autoescape=True))
    for name in ("account_id", "role", "status"):
        if (wanted := getattr(query, name)) is not None:
            statement = statement.where(getattr(OperatorRow, name) == wanted)
    async with parts.sessions() as session:
        rows, total = await page_of(session, statement, [OperatorRow.email, OperatorRow.id], query.page, query.page_size)
    items = [OperatorShown.model_validate(row) for row in rows]
    return Page(items=items, page=query.page, page_size=query.page_size, total=total)


@router.post("", status_code=201)
async def create_operator(parts: AppParts, caller: Operator, new: NewOperator, response: Response) -> OperatorShown:
    """A new active operator."""
    caller.writes("operator")
    account_id = new.account_id or (caller.account_id if new.role == "issuer" else None)
    demand_role_given(caller, new.role, account_id)
    if new.password and caller.role != "administrator":
        raise NotAllowed("Only an administrator sets another operator's password.")
    now = parts.clock()
    row = new_operator(
        name=new.name or new.email.partition("@")[0],
        email=new.email,
        role=new.role,
        account_id=account_id,
        now=now,
        mobile=new.mobile,
        language=new.language,
    )
    if new.password:
        row.password_hash = await parts.passwords.hashed(new.password.get_secret_value())
    try:
        async with parts.sessions.begin() as session:
            if account_id is not None:
                caller.demand_working((await one_seen(session, caller, AccountRow, account_id)).status)
            session.add(row)
            await tell(session, row, "created", now)
            _record(session, "created", caller, row, now, role=row.role)
    except IntegrityError as fault:
        raise _taken(fault) from None
    response.headers.update(at(row.id, "operators"))
    return OperatorShown.model_validate(row)


@router.get("/{operator_id}")
async def read_operator(parts: AppParts, caller: Operator, operator_id: UUID) -> OperatorShown:
    """One operator."""
    async with parts.sessions() as session:
        return OperatorShown.model_validate(await one_seen(session, caller, OperatorRow, operator_id))


@router.patch("/{operator_id}")
async def change_operator(parts: AppParts, caller: Operator, operator_id: UUID, change: OperatorChange) -> OperatorShown:
    """Edits an operator. Who is set inactive is mailed nothing more and cannot log in."""
    hashed = await parts.passwords.hashed(change.password.get_secret_value()) if change.password else None
    try:
        async with parts.sessions.begin() as session:
            row = await one_seen(session, caller, OperatorRow, operator_id, lock=True)
            await _demand_changeable(session, caller, row, change)
            await _change(session, caller, row, change, hashed=hashed, now=parts.clock())
    except IntegrityError as fault:
        raise _taken(fault) from None
    return OperatorShown.model_validate(row)


async def _demand_changeable(session: AsyncSession, caller: Caller, row: OperatorRow, change: OperatorChange) -> None:
    own = row.id == caller.operator_id
    only_password = change.model_fields_set == {"password"}
    if not (own and only_password):
        caller.writes("operator")
        if own and caller.role == "partner":
            raise NotAllowed("A partner's own data are the platform's to change. Ask its administrator.")
    if change.password and not own and caller.role != "administrator":
        raise NotAllowed("Only an administrator sets another operator's password.")
    if row.account_id is not None:
        caller.demand_working((await session.get_one(AccountRow, row.account_id)).status)


async def _change(
    session: AsyncSession, caller: Caller, row: OperatorRow, change: OperatorChange, *, hashed: str | None, now: datetime
) -> None:
    wanted: dict[str, Any] = change.model_dump(exclude_none=True, exclude={"password"})
    if "mobile" in change.model_fields_set and change.mobile is None:
        wanted["mobile"] = None
    changed = {name: value for name, value in wanted.items() if getattr(row, name) != value}
    if hashed:
        row.password_hash, row.failed_logins, row.locked_until = hashed, 0, None
    if changed.get("status") == "deleted":
        await delete_operator(session, row, now)
    elif changed:
        for name, value in changed.items():
            setattr(row, name, value)
        await tell(session, row, "edited", now)
    if changed or hashed:
        fields = sorted([*changed, *(["password"] if hashed else [])])
        _record(session, changed.get("status", "edited"), caller, row, now, fields=fields)


def _taken(fault: IntegrityError) -> Exception:
    if "uq_operator_email" in str(fault.orig):
        return EmailTaken("Another operator has this e-mail. Take another one.")
    return fault


def _record(session: AsyncSession, action: str, caller: Caller, row: OperatorRow, now: datetime, **detail: object) -> None:
    record(session, action, actor=caller.operator_id, kind="operator", id=row.id, account_id=row.account_id, now=now, **detail)
