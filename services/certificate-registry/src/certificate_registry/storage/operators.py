"""Operators, their tokens, and the count of failed logins, which is committed before a password is compared."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry import secret
from certificate_registry.roles import Caller
from certificate_registry.storage.tables import AccountRow, ApiTokenRow, OperatorRow
from contracts.registry import Role

MAX_FAILED_LOGINS = 5
LOCKED_FOR = timedelta(minutes=15)


async def by_token(session: AsyncSession, token: str, now: datetime) -> Caller | None:
    """The active operator whose token this is at `now`, or None."""
    statement = (
        select(OperatorRow, ApiTokenRow.expires_at)
        .join(ApiTokenRow, ApiTokenRow.operator_id == OperatorRow.id)
        .outerjoin(AccountRow, AccountRow.id == OperatorRow.account_id)
        .where(
            ApiTokenRow.digest == secret.digest(token),
            ApiTokenRow.withdrawn_at.is_(None),
            OperatorRow.status == "active",
            func.coalesce(AccountRow.status, "active") != "deleted",
        )
    )
    found = (await session.execute(statement)).one_or_none()
    if found is None or (found.expires_at is not None and found.expires_at <= now):
        return None
    operator: OperatorRow = found.OperatorRow
    return Caller(operator.id, operator.role, operator.account_id)


def add_token(
    session: AsyncSession, operator_id: UUID, name: str, expires_at: datetime | None, now: datetime
) -> tuple[UUID, str]:
    """A new token of the operator: its id, and the token itself, which is kept nowhere."""
    token = secret.new(secret.OPERATOR_TOKEN)
    row = ApiTokenRow(
        id=uuid4(),
        operator_id=operator_id,
        name=name,
        digest=secret.digest(token),
        created_at=now,
        expires_at=expires_at,
        withdrawn_at=None,
    )
    session.add(row)
    return row.id, token


async def by_email(session: AsyncSession, email: str, *, lock: bool = False) -> OperatorRow | None:
    """The operator of that e-mail, however its case is written."""
    statement = select(OperatorRow).where(func.lower(OperatorRow.email) == email.lower(), OperatorRow.status != "deleted")
    return (await session.scalars(statement.with_for_update() if lock else statement)).one_or_none()


async def active_of(session: AsyncSession, account_id: UUID) -> list[OperatorRow]:
    """The account's active operators, who are told what concerns it."""
    of_account = select(OperatorRow).where(OperatorRow.account_id == account_id, OperatorRow.status == "active")
    return list(await session.scalars(of_account.order_by(OperatorRow.id)))


def count_login(operator: OperatorRow, now: datetime) -> bool:
    """Counts one attempt on the locked row; false where the operator is locked out and nothing may be compared."""
    if operator.locked_until is not None:
        if now < operator.locked_until:
            return False
        operator.locked_until, operator.failed_logins = None, 0
    operator.failed_logins += 1
    if operator.failed_logins >= MAX_FAILED_LOGINS:
        operator.locked_until = now + LOCKED_FOR
    return True


def new_operator(
    *, name: str, email: str, role: Role, account_id: UUID | None, now: datetime, mobile: str | None = None, language: str = "en"
) -> OperatorRow:
    """An active operator without a password."""
    return OperatorRow(
        id=uuid4(),
        version=0,
        account_id=account_id,
        name=name,
        email=email,
        mobile=mobile,
        language=language,
        role=role,
        status="active",
        password_hash=None,
        failed_logins=0,
        locked_until=None,
        created_at=now,
    )


def forget_person(operator: OperatorRow) -> None:
    """What is left of a deleted operator holds no personal data."""
    operator.status, operator.name, operator.email, operator.mobile, operator.password_hash = "deleted", "", "", None, None
