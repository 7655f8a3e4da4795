"""Rows that a worker delivers: claimed and committed before the attempt, decided after it. Mails and messages share this.

A claim is a lease in the host's time. One that ran out without an outcome means that its holder died: whether the other
side took it is unknown, and whoever claims it next repeats it under the same Message-ID.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, Row, Table, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from notifier.attempt import Again, Never, Sent


async def due(session: AsyncSession, table: Table, host_now: datetime, *, limit: int) -> Sequence[Row[*tuple[Any, ...]]]:
    """Rows to try now, locked; fresh ones first, so that what hangs or is put off never delays them."""
    rows = await session.execute(
        select(table)
        .where(
            table.c.status == "due",
            table.c.next_attempt_at <= host_now,
            or_(table.c.claimed_until.is_(None), table.c.claimed_until <= host_now),
        )
        .order_by(table.c.attempts, table.c.next_attempt_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return rows.all()


async def claim(session: AsyncSession, table: Table, which: ColumnElement[bool], until: datetime) -> None:
    """Counts an attempt that is about to begin."""
    await session.execute(update(table).where(which).values(attempts=table.c.attempts + 1, claimed_until=until))


async def decide(
    session: AsyncSession,
    table: Table,
    which: ColumnElement[bool],
    verdict: Sent | Again | Never,
    *,
    claimed_until: datetime,
    now: datetime,
) -> bool:
    """Writes what came of a claimed attempt. False when it was decided already, or when another has claimed it since.

    What was sent is sent, whoever claims it now; anything else is for the holder of the newest claim to say.
    """
    values: dict[str, Any]
    if isinstance(verdict, Again):
        values = {"next_attempt_at": verdict.at, "reason": verdict.reason, "claimed_until": None}
    elif isinstance(verdict, Never):
        values = {"status": "failed", "reason": verdict.reason, "claimed_until": None, "decided_at": now}
    else:
        values = {"status": "sent", "reason": None, "claimed_until": None, "decided_at": now}
    if "sealed" in table.c and "status" in values:
        values["sealed"] = None
    mine = table.c.status == "due"
    if not isinstance(verdict, Sent):
        mine &= table.c.claimed_until == claimed_until
    result = cast("CursorResult[Any]", await session.execute(update(table).where(which, mine).values(**values)))
    return result.rowcount == 1


async def backlog(session: AsyncSession, table: Table) -> tuple[int, datetime | None]:
    """How many rows are due, and since when the oldest is."""
    row = (await session.execute(select(func.count(), func.min(table.c.due_since)).where(table.c.status == "due"))).one()
    return row[0], row[1]
