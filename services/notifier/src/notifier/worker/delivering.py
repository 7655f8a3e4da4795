"""Delivery of whatever waits in a table: claimed and committed, attempted, then decided. A few at a time, each bounded."""

import asyncio
from typing import Generic, Protocol, TypeVar

from prometheus_client import Counter
from sqlalchemy.exc import SQLAlchemyError

from notifier.attempt import Later, Outcome
from observability import get_logger

log = get_logger(__name__)

PLACES = 4  # deliveries under way at once, in one process
DELIVERY_S = 20  # for one attempt in all
LEASE_S = 25  # a claim outlives its attempt, so that two never overlap while both live
IDLE_S = 0.25
KEEP_TRYING_TO_RECORD_S = 60
FINISH_S = 8

UNKNOWN = Counter("mail_unknown", "Attempts whose outcome nobody knows: repeated under the same Message-ID")

TClaimed = TypeVar("TClaimed")


class Job(Protocol[TClaimed]):
    """One kind of thing that is delivered."""

    async def claim(self, limit: int) -> list[TClaimed]:
        """Claims at most `limit` that are due and commits, so that they can be attempted."""

    async def deliver(self, claimed: TClaimed) -> Outcome:
        """Attempts one."""

    async def record(self, claimed: TClaimed, outcome: Outcome) -> None:
        """Writes what came of it, with the events that tell of it."""


class Deliveries(Generic[TClaimed]):
    """Runs one job for the life of the process. One that hangs holds one place for at most DELIVERY_S."""

    def __init__(self, job: Job[TClaimed]) -> None:
        self._job = job
        self._under_way: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._stopping = False

    def poke(self) -> None:
        """Something may have become due."""
        self._woken.set()

    async def run(self) -> None:
        """Claims and delivers until stopped. Raises when the database is down; what is under way goes on."""
        while not self._stopping:
            free = PLACES - len(self._under_way)
            claimed = await self._job.claim(free) if free else []
            for one in claimed:
                task = asyncio.create_task(self._one(one))
                self._under_way.add(task)
                task.add_done_callback(self._done)
            if not claimed or len(self._under_way) >= PLACES:
                await self._pause()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self.poke()

    async def _pause(self) -> None:
        try:
            await asyncio.wait_for(self._woken.wait(), IDLE_S)
        except TimeoutError:
            return
        finally:
            self._woken.clear()

    async def stop(self) -> None:
        """Claims no more and lets what is under way finish, within a bound; a claim that is left runs out by itself."""
        self._stopping = True
        self.poke()
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=FINISH_S)
        for task in list(self._under_way):
            task.cancel()

    async def _one(self, claimed: TClaimed) -> None:
        await self._record(claimed, await self._attempt(claimed))

    async def _attempt(self, claimed: TClaimed) -> Outcome:
        outcome: Outcome
        try:
            async with asyncio.timeout(DELIVERY_S):
                outcome = await self._job.deliver(claimed)
        except TimeoutError:
            outcome = Later(f"no answer within {DELIVERY_S} s", unknown=True)
        except Exception as fault:
            log.exception("a delivery failed on our side")
            outcome = Later(f"a fault on our side ({type(fault).__name__})", unknown=True)
        if isinstance(outcome, Later) and outcome.unknown:
            UNKNOWN.inc()
        return outcome

    async def _record(self, claimed: TClaimed, outcome: Outcome) -> None:
        """A database that restarts must not make us repeat what was taken."""
        for _ in range(KEEP_TRYING_TO_RECORD_S * 2):
            try:
                await self._job.record(claimed, outcome)
            except (SQLAlchemyError, OSError, TimeoutError):
                log.warning("an outcome cannot be recorded yet", outcome=type(outcome).__name__)
                await asyncio.sleep(0.5)
            else:
                return
        log.error("an outcome was never recorded; the attempt will be repeated", outcome=type(outcome).__name__)
