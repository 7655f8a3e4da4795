"""Many rows in one statement: a column's values are one array parameter, so that any number of rows shares a text and a plan."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import ARRAY, Table, Update, bindparam, column, func, select, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.selectable import TableValuedAlias

Rows = Sequence[Mapping[str, Any]]


async def insert_rows(session: AsyncSession, table: Table, rows: Rows) -> None:
    """Inserts rows that all name the same columns."""
    if rows:
        await session.execute(_inserted(table, tuple(rows[0])), _arrays(rows))


async def update_rows(session: AsyncSession, table: Table, rows: Rows) -> None:
    """Updates the rows that these name by the primary key, all in the same columns. The caller has locked them."""
    if rows:
        await session.execute(_updated(table, tuple(rows[0])), _arrays(rows))


async def add_rows(session: AsyncSession, table: Table, rows: Rows, amount: str, *replaced: str) -> None:
    """Inserts rows; where one is there, adds its `amount` and replaces the columns named. Locks are taken in the rows' order."""
    if rows:
        await session.execute(_added(table, tuple(rows[0]), amount, replaced), _arrays(rows))


def _arrays(rows: Rows) -> dict[str, list[Any]]:
    return {f"all_{name}": [row[name] for row in rows] for name in rows[0]}


def _arriving(table: Table, names: Sequence[str]) -> TableValuedAlias:
    arrays = (bindparam(f"all_{name}", type_=ARRAY(table.c[name].type)) for name in names)
    columns = (column(name, table.c[name].type) for name in names)
    return func.unnest(*arrays).table_valued(*columns, with_ordinality="place").render_derived()


@cache
def _inserted(table: Table, names: tuple[str, ...]) -> Insert:
    arriving = _arriving(table, names)
    return insert(table).from_select(list(names), select(*(arriving.c[name] for name in names)).order_by(arriving.c.place))


@cache
def _added(table: Table, names: tuple[str, ...], amount: str, replaced: tuple[str, ...]) -> Insert:
    row = _inserted(table, names)
    change = {amount: table.c[amount] + row.excluded[amount], **{name: row.excluded[name] for name in replaced}}
    return row.on_conflict_do_update(index_elements=list(table.primary_key), set_=change)


@cache
def _updated(table: Table, names: tuple[str, ...]) -> Update:
    arriving, keys = _arriving(table, names), table.primary_key.columns
    changed = {name: arriving.c[name] for name in names if name not in keys}
    return update(table).where(*(key == arriving.c[key.name] for key in keys)).values(changed)
