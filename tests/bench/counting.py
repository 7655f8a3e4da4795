"""How fast the grant monitor counts, held against its own statements and commits alone."""

import asyncio
from collections.abc import Iterator
from itertools import islice
from random import Random
from time import perf_counter
from uuid import UUID

from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine
from tests.bench import loading
from tests.bench.bench import Bench, Platform
from tests.bench.figure import Figure
from tests.bench.statements import captured, copied, said_again

from contracts import SignatureApplied
from grant_monitor.consumers import GATHERS_MS, hear
from hosting import utc_now
from hosting.database import open_engine, sessions_of
from messaging import Hearing

GRANTS = 100_000
EVENTS = 15_000  # in a round
ROUNDS = 4  # the monitor and its statements in turn, since a shared machine is not always as fast; one before to warm both


async def figures(bench: Bench) -> list[Figure]:
    """Events counted per second, as a share of what the statements alone would allow on a copy of the same database."""
    async with bench.platform("counting") as platform:
        url = platform.database_url("grant-monitor")
        await loading.grants(url, GRANTS, blocks=100_000)
        took = alone = 0.0
        batches = 0
        async with copied(bench.postgres, url) as copy:
            engine = open_engine(url)
            signatures = _signatures()
            for number in range(ROUNDS + 1):
                await platform.tell(islice(signatures, EVENTS), source="signing-gateway")
                with captured(engine) as transactions:
                    ended = await _counted(platform, engine, (number + 1) * EVENTS)
                by_itself = await said_again(copy, transactions)
                if number:
                    took += ended - transactions[0].begun
                    alone += by_itself
                    batches += len(transactions)
            await engine.dispose()
    beside = {
        "events a second": f"{ROUNDS * EVENTS / took:.0f}",
        "its statements alone": f"{ROUNDS * EVENTS / alone:.0f} events a second",
        "batches": f"{batches}, of {ROUNDS * EVENTS / batches:.0f} events",
    }
    return [Figure("counting over 100 000 grants ÷ its statements and commits alone", alone / took, "ratio", 0.35, beside=beside)]


def _signatures() -> Iterator[SignatureApplied]:
    """Each of a grant by chance; the totals of a block rise."""
    chance, totals = Random(1), [0] * (GRANTS + 1)
    while True:
        n = chance.randint(1, GRANTS)
        totals[n] += 1
        same = UUID(f"00000000-0000-7000-8000-{n:012x}")
        yield SignatureApplied(
            certificate_id=same,
            epoch=1,
            client_service_id=same,
            allowance_id=same,
            first=totals[n] - 1,
            count=1,
            total=totals[n],
            outcome="applied",
        )


async def _counted(platform: Platform, engine: AsyncEngine, events: int) -> float:
    """The instant at which so many events were counted."""
    hearing = Hearing(platform.at.kafka, service="grant-monitor", prefix=platform.prefix, gathers_ms=GATHERS_MS)
    hear(hearing, sessions_of(engine), utc_now)
    running = asyncio.create_task(hearing.run())
    async with asyncio.timeout(300):
        while _handled() < events:
            await asyncio.sleep(0.002)
    ended = perf_counter()
    await hearing.stop()
    await running
    return ended


def _handled() -> float:
    """Asked of this counter alone: to collect all that there are takes as long as to count several events."""
    asked = REGISTRY.restricted_registry(["events_heard_total"])
    labels = {"topic": "signatures", "outcome": "handled"}
    told = (sample for metric in asked.collect() for sample in metric.samples)
    return next((sample.value for sample in told if (sample.name, sample.labels) == ("events_heard_total", labels)), 0)
