"""Opens the books of some certificates' grants under lock, and writes down what was decided in them.

Certificates are locked in the order of their ids, so that transactions over several never wait for each other in a circle.
The lock is on `access_grant`; an epoch and its allowances are only written by whoever holds their certificate.
"""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import ARRAY, Uuid, bindparam, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from grant_monitor.allowance import SWEPT_AFTER, Allowance
from grant_monitor.books import Books
from grant_monitor.grant import Cause, Grant
from grant_monitor.metrics import EXPIRY_EFFECT_DELAY
from grant_monitor.storage.arrays import among, write
from grant_monitor.storage.rows import ALLOWANCES, EPOCH_COLUMNS, EPOCHS, GRANTS, epoch_of, grant_of
from grant_monitor.storage.tables import ACCESS_GRANT, ACCOUNT, ALLOWANCE, CERTIFICATE, GRANT_EPOCH, OPEN
from grant_monitor.storage.usage import usage_to_add
from grant_monitor.warning import NoticeCalendar
from messaging import put
from observability import get_logger

log = get_logger(__name__)
Lock = Literal["wait", "owners", "skip", "none"]

_OWNERS = select(ALLOWANCE.c.certificate_id).where(among(ALLOWANCE.c.allowance_id, "ids"))
_NAMED = select(func.unnest(bindparam("certificates", type_=ARRAY(Uuid))))
_GRANTS = select(ACCESS_GRANT).where(among(ACCESS_GRANT.c.certificate_id, "certificates"))
_IN_ORDER = _GRANTS.order_by(ACCESS_GRANT.c.certificate_id)
_WITH_OWNERS = select(ACCESS_GRANT).where(ACCESS_GRANT.c.certificate_id.in_(_NAMED.union(_OWNERS)))
_FOUND = {
    "wait": _IN_ORDER.with_for_update(),
    "owners": _WITH_OWNERS.order_by(ACCESS_GRANT.c.certificate_id).with_for_update(of=ACCESS_GRANT),
    "skip": _IN_ORDER.with_for_update(skip_locked=True),
    "none": _GRANTS,
}
_EPOCHS = (
    select(
        GRANT_EPOCH,
        ACCOUNT.c.zone,
        ACCOUNT.c.notice_hour,
        or_(CERTIFICATE.c.status == "deleted", ACCOUNT.c.status == "deleted"),
    )
    .outerjoin(CERTIFICATE, CERTIFICATE.c.certificate_id == GRANT_EPOCH.c.certificate_id)
    .outerjoin(ACCOUNT, ACCOUNT.c.account_id == CERTIFICATE.c.account_id)
    .where(among(GRANT_EPOCH.c.certificate_id, "certificates"), among(GRANT_EPOCH.c.epoch, "numbers"))
)
_HOLDERS = select(func.array_agg(ALLOWANCE.c.holder)).where(
    ALLOWANCE.c.certificate_id == GRANT_EPOCH.c.certificate_id, ALLOWANCE.c.epoch == GRANT_EPOCH.c.epoch, OPEN
)
_EPOCHS_AND_HOLDERS = _EPOCHS.add_columns(_HOLDERS.scalar_subquery())
_BLOCKS = select(ALLOWANCE).where(among(ALLOWANCE.c.allowance_id, "ids"))
_OVERDUE = select(ALLOWANCE).where(
    among(ALLOWANCE.c.certificate_id, "certificates"),
    OPEN,
    ALLOWANCE.c.not_after < bindparam("overdue_at", type_=ALLOWANCE.c.not_after.type),
)


@asynccontextmanager
async def books_of(
    session: AsyncSession,
    certificates: Collection[UUID] = (),
    allowances: Collection[UUID] = (),
    *,
    now: datetime,
    host_now: datetime,
    lock: Lock = "wait",
    held: Collection[Grant] = (),
    overdue: bool = False,
    blocks: bool = True,
) -> AsyncIterator[Books]:
    """The books of these certificates, with these allowances of theirs; written when the block ends well.

    `lock="owners"` brings the certificates of the allowances too; `"skip"` leaves out those that another transaction holds;
    `held` are those that this one has locked and read already. `overdue` brings every open allowance of the certificates
    whose validity is over; `blocks`, how many each holder has open.
    """
    books = await opened(
        session, certificates, allowances, now=now, host_now=host_now, lock=lock, held=held, overdue=overdue, blocks=blocks
    )
    before = dict(books.grants), dict(books.epochs), dict(books.allowances)
    yield books
    books.finish()
    await write(
        session,
        *GRANTS.changes(before[0], books.grants),
        *EPOCHS.changes(before[1], books.epochs),
        *ALLOWANCES.changes(before[2], books.allowances),
        *usage_to_add(books.used),
    )
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
    held: Collection[Grant] = (),
    overdue: bool = False,
    blocks: bool = True,
) -> Books:
    """The books as they are; without a lock, for reading only."""
    books = Books(now, host_now, {grant.certificate_id: grant for grant in held})
    if certificates or lock == "owners":
        ids = {"ids": list(allowances)} if lock == "owners" else {}
        found = await session.execute(_FOUND[lock], {"certificates": list(certificates), **ids})
        books.grants |= {row[0]: grant_of(row) for row in found.all()}
    if not books.grants:
        return books
    # Each of these is a statement of its own: only one begun after the lock was got sees what its last holder wrote.
    if allowances:
        await _read_blocks(session, books, {"ids": list(allowances)})
    if overdue:
        await _read_blocks(session, books, {"certificates": list(books.grants), "overdue_at": host_now - SWEPT_AFTER})
    await _read_epochs(session, books, blocks=blocks)
    return books


async def _read_blocks(session: AsyncSession, books: Books, which: dict[str, Any]) -> None:
    """Blocks by id, or those overdue. One of a certificate that is not held is left out."""
    found = await session.execute(_BLOCKS if "ids" in which else _OVERDUE, which)
    for block in map(Allowance._make, found.all()):
        if block.certificate_id in books.grants:
            books.allowances[block.allowance_id] = block


async def _read_epochs(session: AsyncSession, books: Books, *, blocks: bool) -> None:
    """The current epochs and those of the blocks, the days of the accounts that are known, and who holds how many blocks."""
    numbers = {grant.epoch for grant in books.grants.values()} | {block.epoch for block in books.allowances.values()}
    statement = _EPOCHS_AND_HOLDERS if blocks else _EPOCHS
    for row in (await session.execute(statement, {"certificates": list(books.grants), "numbers": list(numbers)})).all():
        epoch = epoch_of(row)
        books.epochs[epoch.certificate_id, epoch.number] = epoch
        zone, notice_hour, silent, *holders = row[EPOCH_COLUMNS:]
        if zone is not None:
            books.calendars[epoch.certificate_id] = _calendar(zone, notice_hour, silent)
        if holders and holders[0]:
            books.open_blocks[epoch.certificate_id, epoch.number] = Counter(holders[0])


@lru_cache(1024)
def _calendar(zone: str, notice_hour: int, silent: bool) -> NoticeCalendar:
    return NoticeCalendar(ZoneInfo(zone), notice_hour, silent)


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
