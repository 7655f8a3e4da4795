"""What each client service used: in all, and per local day. Told when it changed, at most every 2 s."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Date, bindparam, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from contracts import Usage
from contracts.access_grants import UsageDay
from grant_monitor.grant import BEFORE_ALL, TOLD_EVERY
from grant_monitor.storage.arrays import Rows, Way, among
from grant_monitor.storage.tables import SERVICE_USAGE, USAGE_DAY

DAYS_TOLD = 92
BATCH = 500

_USED = ("client_service_id", "certificate_id", "version", "total", "to_tell", "told_at")
_SERVICES = Way("add", SERVICE_USAGE, _USED, "total", ("certificate_id", "to_tell"))
_DAYS = Way("add", USAGE_DAY, tuple(USAGE_DAY.c.keys()), "signatures")
_TOLD = (
    update(SERVICE_USAGE)
    .where(among(SERVICE_USAGE.c.client_service_id, "services"))
    .values(version=SERVICE_USAGE.c.version + 1, to_tell=False, told_at=bindparam("host_now", type_=SERVICE_USAGE.c.told_at.type))
    .returning(SERVICE_USAGE)
)
_DAYS_SINCE = (
    select(USAGE_DAY.c.client_service_id, USAGE_DAY.c.local_date, func.sum(USAGE_DAY.c.signatures).label("signatures"))
    .where(among(USAGE_DAY.c.client_service_id, "services"), USAGE_DAY.c.local_date >= bindparam("since", type_=Date))
    .group_by(USAGE_DAY.c.client_service_id, USAGE_DAY.c.local_date)
    .order_by(USAGE_DAY.c.client_service_id, USAGE_DAY.c.local_date.desc())
)


def usage_to_add(used: Mapping[tuple[UUID, UUID, date], int]) -> tuple[tuple[Way, Rows], tuple[Way, Rows]]:
    """Signatures to add, by (client service, certificate, local date). Rows are locked in sorted order."""
    totals: Counter[UUID] = Counter()
    certificates: dict[UUID, UUID] = {}
    days: list[tuple[UUID, UUID, date, int]] = []
    for (client_service_id, certificate_id, day), signatures in sorted(used.items(), key=_order):
        totals[client_service_id] += signatures
        certificates[client_service_id] = certificate_id
        days.append((client_service_id, certificate_id, day, signatures))
    services = [(key, certificates[key], 0, total, True, BEFORE_ALL) for key, total in totals.items()]
    return (_SERVICES, services), (_DAYS, days)


def _order(used: tuple[tuple[UUID, UUID, date], int]) -> tuple[bytes, bytes, date]:
    (client_service_id, certificate_id, day), _ = used
    return client_service_id.bytes, certificate_id.bytes, day


async def usage_to_tell(session: AsyncSession, at_most: int, *, now: datetime, host_now: datetime) -> list[Usage]:
    """Services whose usage changed and was not told within 2 s, longest ago first, marked as told with the next version."""
    quiet = or_(SERVICE_USAGE.c.told_at.is_(None), SERVICE_USAGE.c.told_at <= host_now - TOLD_EVERY)
    due = select(SERVICE_USAGE.c.client_service_id).where(SERVICE_USAGE.c.to_tell, quiet)
    locked = due.order_by(SERVICE_USAGE.c.told_at).limit(at_most).with_for_update(skip_locked=True)
    return await _told(session, list(await session.scalars(locked)), now=now, host_now=host_now)


async def usage_after(session: AsyncSession, after: UUID, *, now: datetime, host_now: datetime) -> list[Usage]:
    """The next 500 services by id, told again with the next version."""
    locked = (
        select(SERVICE_USAGE.c.client_service_id)
        .where(SERVICE_USAGE.c.client_service_id > after)
        .order_by(SERVICE_USAGE.c.client_service_id)
        .limit(BATCH)
        .with_for_update()
    )
    return await _told(session, list(await session.scalars(locked)), now=now, host_now=host_now)


async def _told(session: AsyncSession, services: list[UUID], *, now: datetime, host_now: datetime) -> list[Usage]:
    if not services:
        return []
    days = await _days(session, services, since=now.date() - timedelta(days=DAYS_TOLD))
    told = await session.execute(_TOLD, {"services": services, "host_now": host_now})
    return [
        Usage(
            client_service_id=row.client_service_id,
            version=row.version,
            certificate_id=row.certificate_id,
            total=row.total,
            days=days[row.client_service_id][:DAYS_TOLD],
        )
        for row in sorted(told, key=lambda row: UUID(str(row.client_service_id)))
    ]


async def _days(session: AsyncSession, services: list[UUID], *, since: date) -> dict[UUID, list[UsageDay]]:
    """Each service's days, newest first."""
    days: defaultdict[UUID, list[UsageDay]] = defaultdict(list)
    for row in await session.execute(_DAYS_SINCE, {"services": services, "since": since}):
        days[row.client_service_id].append(UsageDay(date=row.local_date, signatures=int(row.signatures)))
    return days


async def recent_signatures(session: AsyncSession, certificate_id: UUID, since: date) -> int:
    """Signatures of one certificate on local dates from `since` on."""
    query = select(func.coalesce(func.sum(USAGE_DAY.c.signatures), 0)).where(
        USAGE_DAY.c.certificate_id == certificate_id, USAGE_DAY.c.local_date >= since
    )
    return int(await session.scalar(query) or 0)
