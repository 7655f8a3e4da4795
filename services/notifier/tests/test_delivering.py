"""The loop that delivers, with a job that does as it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from notifier.attempt import Later, Outcome, Sent
from notifier.worker import delivering
from notifier.worker.delivering import PLACES, Deliveries


async def at_once(_name: str) -> Outcome:
    return Sent()


@dataclass
class Job:
    """Claims what waits, delivers it by `how`, and fails to record as often as `outages` says."""

    waiting: list[str]
    how: Callable[[str], Awaitable[Outcome]] = at_once
    outages: int = 0
    under_way: int = 0
    most: int = 0
    recorded: dict[str, Outcome] = field(default_factory=dict)

    async def claim(self, limit: int) -> list[str]:
        claimed, self.waiting = self.waiting[:limit], self.waiting[limit:]
        return claimed

    async def deliver(self, claimed: str) -> Outcome:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            return await self.how(claimed)
        finally:
            self.under_way -= 1

    async def record(self, claimed: str, outcome: Outcome) -> None:
        if self.outages:
            self.outages -= 1
            raise ConnectionError("the database restarts")
        self.recorded[claimed] = outcome


@asynccontextmanager
async def running(job: Job) -> AsyncIterator[Deliveries[str]]:
    deliveries = Deliveries(job)
    task = asyncio.create_task(deliveries.run())
    yield deliveries
    await deliveries.stop()
    await asyncio.wait_for(task, 10)


async def recorded(job: Job, count: int) -> None:
    async with asyncio.timeout(20):
        while len(job.recorded) < count:
            await asyncio.sleep(0.01)


async def test_everything_is_delivered_a_few_at_a_time() -> None:
    async def a_moment(_name: str) -> Outcome:
        await asyncio.sleep(0.01)
        return Sent()

    job = Job([str(n) for n in range(30)], a_moment)
    async with running(job):
        await recorded(job, 30)
    assert job.most == PLACES


async def test_a_hang_is_ended_counted_as_unknown_and_delays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs_for_one(name: str) -> Outcome:
        if name == "hangs":
            await asyncio.sleep(3600)
        return Sent()

    monkeypatch.setattr(delivering, "DELIVERY_S", 0.5)
    job = Job(["hangs", *(str(n) for n in range(20))], hangs_for_one)
    async with running(job):
        await recorded(job, 20)
        assert "hangs" not in job.recorded
        await recorded(job, 21)
    assert job.recorded["hangs"] == Later("no answer within 0.5 s", unknown=True)


async def test_a_fault_of_ours_is_tried_again_later_and_tells_no_details() -> None:
    async def fails(_name: str) -> Outcome:
        raise RuntimeError("secret-in-the-text")

    job = Job(["one"], fails)
    async with running(job):
        await recorded(job, 1)
    assert job.recorded["one"] == Later("a fault on our side (RuntimeError)", unknown=True)


async def test_an_outcome_is_recorded_once_the_database_is_back() -> None:
    job = Job(["one"], outages=1)
    async with running(job):
        await recorded(job, 1)
    assert job.recorded == {"one": Sent()}


async def test_a_stop_lets_what_is_under_way_finish_and_begins_nothing_new() -> None:
    go = asyncio.Event()

    async def waits(_name: str) -> Outcome:
        await go.wait()
        return Sent()

    job = Job([str(n) for n in range(10)], waits)
    async with running(job) as deliveries:
        async with asyncio.timeout(10):
            while job.under_way < PLACES:
                await asyncio.sleep(0.01)
        stopping = asyncio.create_task(deliveries.stop())
        await asyncio.sleep(0)
        go.set()
        await stopping
    assert len(job.recorded) == PLACES
