"""Many rows, of several tables, in one statement and so in one round trip to the server, which costs more than its work.

A column's values are one array parameter, so that any number of rows shares a text and a plan, made once.
"""

from collections.abc import Collection
from functools import cache
from typing import Any, Literal, NamedTuple

from sqlalchemy import ARRAY, ColumnElement, Select, Table, Update, any_, bindparam, column, func, literal, select, update
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.selectable import TableValuedAlias

Names = tuple[str, ...]
Rows = Collection[tuple[Any, ...]]


class Way(NamedTuple):
    """How rows of some columns of a table are written. The caller holds the rows that it updates.

    `add` inserts; where a row is there, it adds `amount` to it and replaces the columns named. It locks in the rows' order.
    """

    how: Literal["insert", "update", "add"]
    table: Table
    names: Names
    amount: str = ""
    replaced: Names = ()

    def parameter(self, name: str) -> str:
        """What the array of a column's values is called."""
        return f"{self.how}_{self.table.name}_{len(self.names)}_{name}"


async def write(session: AsyncSession, *parts: tuple[Way, Rows]) -> None:
    """Writes the rows, each a tuple of the values of its way's columns. No row may be among them twice."""
    filled = [(way, rows) for way, rows in parts if rows]
    if not filled:
        return
    values = {
        way.parameter(name): of_column
        for way, rows in filled
        for name, of_column in zip(way.names, zip(*rows, strict=True), strict=True)
    }
    await session.execute(_together(tuple(way for way, _ in filled)), values)


def among(of: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """Whether a column's value is one of those in the parameter `name`."""
    return of == any_(bindparam(name, type_=ARRAY(of.type)))


@cache
def _together(ways: tuple[Way, ...]) -> Select[int]:
    made = {"insert": _inserted, "update": _updated, "add": _added}
    return select(literal(1)).add_cte(*(made[way.how](way).cte(f"part_{n}") for n, way in enumerate(ways)))


def _arriving(way: Way) -> TableValuedAlias:
    arrays = (bindparam(way.parameter(name), type_=ARRAY(way.table.c[name].type)) for name in way.names)
    columns = (column(name, way.table.c[name].type) for name in way.names)
    return func.unnest(*arrays).table_valued(*columns, with_ordinality="place").render_derived()


def _inserted(way: Way) -> Insert:
    arriving = _arriving(way)
    rows = select(*(arriving.c[name] for name in way.names)).order_by(arriving.c.place)
    return insert(way.table).from_select(list(way.names), rows)


def _added(way: Way) -> Insert:
    row = _inserted(way)
    change = {way.amount: way.table.c[way.amount] + row.excluded[way.amount]}
    change |= {name: row.excluded[name] for name in way.replaced}
    return row.on_conflict_do_update(index_elements=list(way.table.primary_key), set_=change)


def _updated(way: Way) -> Update:
    arriving, keys = _arriving(way), way.table.primary_key.columns
    changed = {name: arriving.c[name] for name in way.names if name not in keys}
    return update(way.table).where(*(key == arriving.c[key.name] for key in keys)).values(changed)
