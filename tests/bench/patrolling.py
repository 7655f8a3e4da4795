"""What the monitor's clock patrol costs over a million grants: when nothing is due, and when a thousand expire."""

from collections.abc import Awaitable, Callable
from statistics import median
from time import perf_counter
from uuid import UUID

import asyncpg
from sqlalchemy import select
from tests.bench import loading
from tests.bench.bench import Bench
from tests.bench.figure import Figure
from tests.bench.statements import captured, said_again

from grant_monitor.patrol import Patrol
from grant_monitor.storage.tables import ACCESS_GRANT
from hosting import utc_now
from hosting.database import open_engine, sessions_of

GRANTS = 1_000_000
DUE = 1_000
ROUNDS = 300
EXPIRIES = 5


async def figures(bench: Bench) -> list[Figure]:
    """A whole round that finds nothing ÷ one read by primary key; a thousand expiries ÷ their UPDATEs and INSERTs alone."""
    async with bench.platform("patrolling") as platform:
        url = platform.database_url("grant-monitor")
        await loading.grants(url, GRANTS)
        engine = open_engine(url)
        sessions = sessions_of(engine)
        patrol = Patrol(sessions, utc_now)

        one = select(ACCESS_GRANT).where(ACCESS_GRANT.c.certificate_id == _id(GRANTS // 2))

        async def read() -> None:
            async with sessions.begin() as session:
                await session.execute(one)

        reading, idling = [await _median(read, ROUNDS) for _ in range(2)], [await _median(patrol.round, ROUNDS) for _ in range(2)]
        expiring, alone = [], []
        for _ in range(EXPIRIES):
            await _make_due(url)
            with captured(engine) as transactions:
                begun = perf_counter()
                while await patrol.round():
                    pass
                expiring.append(perf_counter() - begun)
            await _make_due(url)
            alone.append(await said_again(url, transactions, only=("WITH", "INSERT")))
        expired = await _expired(url)
        await engine.dispose()
    assert expired == DUE, f"{expired} of {DUE} expired"
    none_due, all_due = min(idling) / min(reading), median(expiring) / median(alone)
    return [
        Figure(
            "patrol over 1 000 000 grants, none due ÷ a read by primary key",
            none_due,
            "ratio",
            5,
            "at most",
            {"round": f"{min(idling) * 1e3:.2f} ms", "read": f"{min(reading) * 1e3:.2f} ms"},
        ),
        Figure(
            "patrol expiring 1 000 of 1 000 000 ÷ its UPDATEs and INSERTs alone",
            all_due,
            "ratio",
            3,
            "at most",
            {"patrol": f"{median(expiring) * 1e3:.0f} ms", "statements": f"{median(alone) * 1e3:.0f} ms"},
        ),
    ]


def _id(n: int) -> UUID:
    return UUID(f"00000000-0000-7000-8000-{n:012x}")


async def _median(work: Callable[[], Awaitable[object]], times: int) -> float:
    took = []
    for _ in range(times):
        begun = perf_counter()
        await work()
        took.append(perf_counter() - begun)
    return median(took)


async def _make_due(url: str) -> None:
    """The grants of some certificates have just ended, and nobody has noticed."""
    connection = await asyncpg.connect(url, server_settings={"timezone": "UTC"})
    try:
        ids = [_id(n * (GRANTS // DUE)) for n in range(1, DUE + 1)]
        just_now, among = "now() - interval '1 s'", "certificate_id = ANY($1)"
        state = f"expires_at = {just_now}, state = 'active', expired_reason = NULL"
        await connection.execute(f"UPDATE grant_epoch SET {state} WHERE {among}", ids)
        never = "last_expired_epoch = NULL, last_expired_reason = NULL, last_expired_at = NULL"
        await connection.execute(f"UPDATE access_grant SET next_due_at = {just_now}, {never} WHERE {among}", ids)
    finally:
        await connection.close()


async def _expired(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM grant_epoch WHERE state = 'expired'"))
    finally:
        await connection.close()
