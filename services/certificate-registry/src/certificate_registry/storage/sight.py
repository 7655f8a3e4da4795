"""What an operator sees, as SQL: every list and every read goes through here, so that nothing else exists for it."""

from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry.roles import Caller, NotVisible, Noun, Reach
from certificate_registry.storage.client_certificate_tables import ClientCertificateRow
from certificate_registry.storage.tables import (
    AccountRow,
    AuditRow,
    CertificateRow,
    ClientServiceRow,
    NoticeRow,
    OperatorRow,
    Row,
    WalkRow,
)

TRow = TypeVar("TRow", bound=Row)

_NOUNS: dict[type[Row], Noun] = {
    AccountRow: "account",
    OperatorRow: "operator",
    CertificateRow: "certificate",
    ClientServiceRow: "client-service",
    ClientCertificateRow: "client-service",
    WalkRow: "certificate",
    NoticeRow: "record",
    AuditRow: "record",
}
_HIDDEN: dict[type[Row], ColumnElement[bool]] = {
    CertificateRow: CertificateRow.status != "pending",
    OperatorRow: OperatorRow.status != "deleted",
}


def seen(caller: Caller, kind: type[TRow]) -> Select[TRow]:
    """Everything of this kind that the operator sees. Raises NotVisible where that is nothing by its role."""
    reach = caller.sees(_NOUNS[kind])
    account: Any = AccountRow.id if kind is AccountRow else getattr(kind, "account_id", None)
    if reach is Reach.OWN:
        within: ColumnElement[bool] = account == caller.account_id
    elif reach is Reach.BROUGHT:
        within = account.in_(select(AccountRow.id).where(AccountRow.brought_by == caller.operator_id))
        if kind is OperatorRow:
            within = or_(within, OperatorRow.id == caller.operator_id)  # one always sees oneself
    else:
        within = true()
    return select(kind).where(within, _HIDDEN.get(kind, true()))


async def one_seen(
    session: AsyncSession,
    caller: Caller,
    kind: type[TRow],
    row_id: UUID,
    *,
    lock: bool = False,
) -> TRow:
    """The row of that id. Raises NotVisible, alike for what is not there and what is another's."""
    statement = seen(caller, kind).where(kind.id == row_id)  # type: ignore[attr-defined] # every kind asked for has an id
    if lock:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    row = (await session.scalars(statement)).one_or_none()
    if row is None:
        raise NotVisible("There is nothing here of this id.")
    return row


async def page_of(
    session: AsyncSession, statement: Select[TRow], order: list[Any], page: int, page_size: int
) -> tuple[list[TRow], int]:
    """One page of the statement's rows, and how many there are in all. Pages count from 1; `order` ends in a unique column."""
    total = await session.scalar(select(func.count()).select_from(statement.subquery()))
    rows = await session.scalars(statement.order_by(*order).limit(page_size).offset((page - 1) * page_size))
    return list(rows), total or 0
