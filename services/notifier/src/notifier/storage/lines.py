"""Lines: heard once each, then taken up by a notice or void."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, case, exists, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from notifier.notice import DIGEST_WINDOW, SETTLING, Line, OpenLine, VoidReason
from notifier.storage.tables import account, certificate, ledger, line, operator
from observability import traceparent

OPEN = line.c.notice_id.is_(None) & line.c.void_reason.is_(None)


async def ledger_begun_at(session: AsyncSession, now: datetime) -> datetime:
    """When this notifier's tables first began; `now` when that is now."""
    await session.execute(insert(ledger).values(id=1, begun_at=now).on_conflict_do_nothing())
    begun_at: datetime = (await session.execute(select(ledger.c.begun_at))).scalar_one()
    return begun_at


async def unheard(session: AsyncSession, lines: Iterable[Line]) -> list[Line]:
    """Those of `lines` (of one certificate) that no telling made due before, by date or, but for daily ones, by epoch."""
    wanted = list(lines)
    if not wanted:
        return []
    rows = await session.execute(
        select(line.c.epoch, line.c.kind, line.c.local_date).where(
            line.c.certificate_id == wanted[0].certificate_id, line.c.epoch.in_({one.epoch for one in wanted})
        )
    )
    known = {(row.epoch, row.kind, row.local_date if row.kind == "daily" else None) for row in rows}
    return [one for one in wanted if (one.epoch, one.kind, one.local_date if one.kind == "daily" else None) not in known]


async def add_line(session: AsyncSession, new: Line, *, heard_at: datetime, void: VoidReason | None) -> None:
    """Writes a line once, whatever the number of times it is heard."""
    await session.execute(
        insert(line)
        .values(
            certificate_id=new.certificate_id,
            epoch=new.epoch,
            kind=new.kind,
            local_date=new.local_date,
            owed_until=new.owed_until,
            heard_at=heard_at,
            void_reason=void,
            traceparent=traceparent(),
        )
        .on_conflict_do_nothing()
    )


def line_of(row: Row[*tuple[object, ...]]) -> Line:
    """The domain's line of a row of the table."""
    return Line(row.certificate_id, row.epoch, row.kind, row.local_date, row.owed_until)


async def lock_ripe_accounts(session: AsyncSession, host_now: datetime, *, limit: int) -> list[UUID]:
    """Accounts with open lines whose wait is over, locked for this transaction; those that another instance holds are left.

    A line waits here until its certificate, its account and some operator of it are known.
    """
    waited = line.c.heard_at <= case(
        (line.c.kind == "daily", host_now - DIGEST_WINDOW),
        else_=host_now - SETTLING,
    )
    ripe = select(certificate.c.account_id).join(line, line.c.certificate_id == certificate.c.certificate_id).where(OPEN, waited)
    rows = await session.scalars(
        select(account.c.account_id)
        .where(account.c.account_id.in_(ripe), exists().where(operator.c.account_id == account.c.account_id))
        .order_by(account.c.account_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(rows)


async def open_lines(session: AsyncSession, account_id: UUID) -> list[OpenLine]:
    """The account's lines that are neither taken up nor void."""
    rows = await session.execute(
        select(line)
        .join(certificate, certificate.c.certificate_id == line.c.certificate_id)
        .where(OPEN, certificate.c.account_id == account_id)
        .order_by(line.c.line_id)
        .with_for_update(of=line)
    )
    return [OpenLine(row.line_id, line_of(row), row.heard_at) for row in rows]


async def void_line(session: AsyncSession, line_id: int, reason: VoidReason) -> None:
    """Decides an open line: it is never mailed."""
    await session.execute(update(line).where(line.c.line_id == line_id, OPEN).values(void_reason=reason))
