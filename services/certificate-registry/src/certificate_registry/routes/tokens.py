"""`/tokens` and `/operators/{id}/tokens`: how an operator proves who it is."""

from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints
from sqlalchemy import select

from certificate_registry.roles import NotAllowed, NotVisible
from certificate_registry.routes.fields import Input, Moment, Name, Page, Paging
from certificate_registry.routes.parts import AppParts, Operator, Parts, TokenRefused
from certificate_registry.storage import operators
from certificate_registry.storage.audit_trail import record
from certificate_registry.storage.sight import one_seen, page_of
from certificate_registry.storage.tables import ApiTokenRow, OperatorRow

login = APIRouter(prefix="/tokens", tags=["tokens"])
router = APIRouter(prefix="/operators/{operator_id}/tokens", tags=["tokens"])
SESSION = timedelta(hours=8)
REFUSED = "E-mail and password do not go together, or the operator is locked out for a while after too many tries."


class Login(Input):
    """What an operator types."""

    email: Annotated[str, StringConstraints(max_length=254)]
    password: SecretStr = Field(max_length=200)


class TokenMade(BaseModel):
    """A token, shown this once."""

    id: UUID
    operator_id: UUID
    name: str
    token: str
    expires_at: datetime | None


class NewToken(Input):
    """A token for a program; one without an end holds until it is withdrawn."""

    name: Name
    expires_at: Moment | None = None


class TokenShown(BaseModel):
    """A token, without itself."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str
    created_at: datetime
    expires_at: datetime | None
    withdrawn_at: datetime | None


class LoginRefused(TokenRefused):
    """The login does not hold; why is not said."""


@login.post("", status_code=201)
async def log_in(parts: AppParts, typed: Login) -> TokenMade:
    """A token good for 8 hours. Five failed tries lock an operator out for 15 minutes."""
    now = parts.clock()
    operator_id, hashed = await _counted(parts, typed.email, now)
    holds = await parts.passwords.holds(hashed, typed.password.get_secret_value())
    async with parts.sessions.begin() as session:
        operator = await session.get(OperatorRow, operator_id, with_for_update=True) if operator_id else None
        if not holds or operator is None or operator.status != "active":
            account = operator.account_id if operator else None
            record(session, "login-refused", actor="unknown", kind="operator", id=operator_id, account_id=account, now=now)
            made = None
        else:
            operator.failed_logins, operator.locked_until = 0, None
            made = operators.add_token(session, operator.id, "login", now + SESSION, now)
            record(
                session, "logged-in", actor=operator.id, kind="operator", id=operator.id, account_id=operator.account_id, now=now
            )
    if made is None or operator is None:
        raise LoginRefused(REFUSED)
    return TokenMade(id=made[0], operator_id=operator.id, name="login", token=made[1], expires_at=now + SESSION)


async def _counted(parts: Parts, email: str, now: datetime) -> tuple[UUID | None, str | None]:
    """The operator and the hash to compare with, once the try is counted and committed; no hash where none may be compared."""
    async with parts.sessions.begin() as session:
        operator = await operators.by_email(session, email.replace("\x00", ""), lock=True)
        operator_id = operator.id if operator else None  # an unknown one is written too: the time must not tell them apart
        record(session, "login-tried", actor="unknown", kind="operator", id=operator_id, account_id=None, now=now)
        if operator is None:
            return None, None
        return operator.id, operator.password_hash if operators.count_login(operator, now) else None


@router.post("", status_code=201)
async def create_token(parts: AppParts, caller: Operator, operator_id: UUID, new: NewToken) -> TokenMade:
    """A token for a program of this operator, made by an administrator or by the operator itself."""
    now = parts.clock()
    async with parts.sessions.begin() as session:
        operator = await one_seen(session, caller, OperatorRow, operator_id)
        if caller.role != "administrator" and caller.operator_id != operator_id:
            raise NotAllowed("Tokens are made by the operator itself or by an administrator.")
        token_id, token = operators.add_token(session, operator_id, new.name, new.expires_at, now)
        record(
            session,
            "token-made",
            actor=caller.operator_id,
            kind="operator",
            id=operator_id,
            account_id=operator.account_id,
            now=now,
            token_id=token_id,
            expires_at=new.expires_at or "never",
        )
    return TokenMade(id=token_id, operator_id=operator_id, name=new.name, token=token, expires_at=new.expires_at)


@router.get("")
async def list_tokens(
    parts: AppParts, caller: Operator, operator_id: UUID, query: Annotated[Paging, Query()]
) -> Page[TokenShown]:
    """The operator's tokens, the newest first."""
    statement = select(ApiTokenRow).where(ApiTokenRow.operator_id == operator_id)
    async with parts.sessions() as session:
        await one_seen(session, caller, OperatorRow, operator_id)
        order = [ApiTokenRow.created_at.desc(), ApiTokenRow.id]
        rows, total = await page_of(session, statement, order, query.page, query.page_size)
    items = [TokenShown.model_validate(row) for row in rows]
    return Page(items=items, page=query.page, page_size=query.page_size, total=total)


@router.delete("/{token_id}", status_code=204)
async def withdraw_token(parts: AppParts, caller: Operator, operator_id: UUID, token_id: UUID) -> None:
    """The token holds no longer. Withdrawn twice, it stays withdrawn."""
    now = parts.clock()
    async with parts.sessions.begin() as session:
        operator = await one_seen(session, caller, OperatorRow, operator_id)
        if caller.role != "administrator" and caller.operator_id != operator_id:
            raise NotAllowed("Tokens are withdrawn by the operator itself or by an administrator.")
        token = await session.get(ApiTokenRow, token_id, with_for_update=True)
        if token is None or token.operator_id != operator_id:
            raise NotVisible("There is nothing here of this id.")
        if token.withdrawn_at is None:
            token.withdrawn_at = now
            record(
                session,
                "token-withdrawn",
                actor=caller.operator_id,
                kind="operator",
                id=operator_id,
                account_id=operator.account_id,
                now=now,
                token_id=token_id,
            )
