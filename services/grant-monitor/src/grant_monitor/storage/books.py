"""Opens the books of some certificates' grants under lock, and writes down what was decided in them.

Certificates are locked in the order of their ids, so that transactions over several never wait for each other in a circle.
The lock is on `access_grant`; an epoch and its allowances are only written by whoever holds their certificate.
"""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ARRAY, ColumnElement, Table, Uuid, any_, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from grant_monitor.allowance import SWEPT_AFTER
from grant_monitor.books import Books
from grant_monitor.grant import Cause
from grant_monitor.metrics import EXPIRY_EFFECT_DELAY
from grant_monitor.storage.arrays import insert_rows, update_rows
from grant_monitor.storage.rows import allowance_of, allowance_values, epoch_of, epoch_values, grant_of, grant_values
from grant_monitor.storage.tables import ACCESS_GRANT, ACCOUNT, ALLOWANCE, CERTIFICATE, GRANT_EPOCH
from grant_monitor.storage.usage import add_usage
from grant_monitor.warning import NoticeCalendar
from messaging import put
from observability import get_logger

log = get_logger(__name__)
Lock = Literal["wait", "skip", "held", "none"]


@asynccontextmanager
async def books_of(
    session: AsyncSession,
    certificates: Collection[UUID] = (),
    allowances: Collection[UUID] = (),
    *,
    now: datetime,
    host_now: datetime,
    lock: Lock = "wait",
    overdue: bool = False,
    blocks: bool = True,
) -> AsyncIterator[Books]:
    """The books of these certificates, with these allowances of theirs; written when the block ends well.

    `lock="skip"` leaves out certificates that another transaction holds, `"held"` says that this one holds them; `overdue`
    brings every open allowance of the certificates whose validity is over; `blocks`, how many each holder has open.
    """
    books = await opened(session, certificates, allowances, now=now, host_now=host_now, lock=lock, overdue=overdue, blocks=blocks)
    before = dict(books.grants), dict(books.epochs), dict(books.allowances)
    yield books
    books.finish()
    await _save(session, ACCESS_GRANT, before[0], books.grants, grant_values)
    await _save(session, GRANT_EPOCH, before[1], books.epochs, epoch_values)
    await _save(session, ALLOWANCE, before[2], books.allowances, allowance_values)
    await add_usage(session, books.used)
    if books.told:
        await put(session, *books.told, at=now)
        _say(books)


async def opened(
    session: AsyncSession,
    certificates: Collection[UUID] = (),
    allowances: Collection[UUID] = (),
    *,
    now: datetime,
    host_now: datetime,
    lock: Lock = "none",
    overdue: bool = False,
    blocks: bool = True,
) -> Books:
    """The books as they are; without a lock, for reading only."""
    books = Books(now, host_now)
    if not certificates:
        return books
    query = select(ACCESS_GRANT).where(_among(ACCESS_GRANT.c.certificate_id, certificates))
    if lock in {"wait", "skip"}:
        query = query.order_by(ACCESS_GRANT.c.certificate_id).with_for_update(skip_locked=lock == "skip")
    books.grants = {row.certificate_id: grant_of(row) for row in await session.execute(query)}
    held = list(books.grants)
    if not held:
        return books
    # Each of these is a statement of its own: only one begun after the lock was got sees what its last holder wrote.
    if allowances or overdue:
        books.allowances = await _allowances(session, held, allowances, host_now if overdue else None)
    await _read_epochs(session, books)
    await _read_calendars(session, books)
    if blocks:
        await _read_open_blocks(session, books)
    return books


async def owners_of(session: AsyncSession, allowances: Collection[UUID]) -> set[UUID]:
    """The certificates that these allowances belong to, as far as they were handed out."""
    return set(await session.scalars(select(ALLOWANCE.c.certificate_id).where(_among(ALLOWANCE.c.allowance_id, allowances))))


def _among(column: ColumnElement[UUID], ids: Collection[UUID]) -> ColumnElement[bool]:
    """One array parameter, however many ids."""
    return column == any_(literal(sorted(ids), ARRAY(Uuid)))


async def _allowances(
    session: AsyncSession, held: list[UUID], ids: Collection[UUID], overdue_at: datetime | None
) -> dict[UUID, Any]:
    which = _among(ALLOWANCE.c.allowance_id, ids)
    if overdue_at is not None:
        which = or_(which, (ALLOWANCE.c.state == "open") & (ALLOWANCE.c.not_after < overdue_at - SWEPT_AFTER))
    query = select(ALLOWANCE).where(_among(ALLOWANCE.c.certificate_id, held), which)
    return {row.allowance_id: allowance_of(row) for row in await session.execute(query)}


async def _read_epochs(session: AsyncSession, books: Books) -> None:
    numbers = {grant.epoch for grant in books.grants.values()} | {a.epoch for a in books.allowances.values()}
    query = select(GRANT_EPOCH).where(
        _among(GRANT_EPOCH.c.certificate_id, books.grants), GRANT_EPOCH.c.epoch.in_(sorted(numbers))
    )
    books.epochs = {(row.certificate_id, row.epoch): epoch_of(row) for row in await session.execute(query)}


async def _read_calendars(session: AsyncSession, books: Books) -> None:
    deleted = or_(CERTIFICATE.c.status == "deleted", ACCOUNT.c.status == "deleted")
    query = (
        select(CERTIFICATE.c.certificate_id, ACCOUNT.c.zone, ACCOUNT.c.notice_hour, deleted.label("silent"))
        .join(ACCOUNT, ACCOUNT.c.account_id == CERTIFICATE.c.account_id)
        .where(_among(CERTIFICATE.c.certificate_id, books.grants))
    )
    for row in await session.execute(query):
        books.calendars[row.certificate_id] = NoticeCalendar(ZoneInfo(row.zone), row.notice_hour, row.silent)


async def _read_open_blocks(session: AsyncSession, books: Books) -> None:
    query = (
        select(ALLOWANCE.c.certificate_id, ALLOWANCE.c.epoch, ALLOWANCE.c.holder, func.count().label("blocks"))
        .where(_among(ALLOWANCE.c.certificate_id, books.grants), ALLOWANCE.c.state == "open")
        .group_by(ALLOWANCE.c.certificate_id, ALLOWANCE.c.epoch, ALLOWANCE.c.holder)
    )
    for row in await session.execute(query):
        books.open_blocks.setdefault((row.certificate_id, row.epoch), Counter())[row.holder] = row.blocks


async def _save(session: AsyncSession, table: Table, before: Mapping[Any, Any], after: Mapping[Any, Any], values: Any) -> None:
    """Inserts what is new and updates what changed; records are immutable, so one that is the same was not touched."""
    await insert_rows(session, table, [values(record) for key, record in after.items() if key not in before])
    changed = [record for key, record in after.items() if (was := before.get(key)) is not None and was is not record]
    await update_rows(session, table, [values(record) for record in changed])


def _say(books: Books) -> None:
    """One line for all that was told for the same cause; what is only counted is said by nobody."""
    told: defaultdict[Cause, dict[str, int]] = defaultdict(dict)
    for grant in books.told:
        if grant.cause == "expired" and grant.last_expired is not None:
            EXPIRY_EFFECT_DELAY.observe((books.now - grant.last_expired.at).total_seconds())
        if grant.cause != "counted":
            told[grant.cause][str(grant.certificate_id)] = grant.epoch
    for cause, epochs in told.items():
        log.info("grants told", cause=cause, count=len(epochs), epochs=epochs)
