"""What happens by itself: warnings and expiries when they are due, blocks that nobody settled, counts not yet told.

Two patrols at once share the work: each takes what no other transaction holds, and what it did is not due again.
"""

import asyncio
from collections.abc import Awaitable, Callable

from grant_monitor.metrics import ALLOWANCE_OPEN, show_grants
from grant_monitor.storage import books_of
from grant_monitor.storage.due import (
    grants_due,
    grants_to_tell,
    grants_with_overdue_blocks,
    nearest_epochs,
    open_blocks,
    purge_blocks,
    what_waits,
)
from grant_monitor.storage.usage import BATCH, usage_to_tell
from hosting import Clock, host_utc
from hosting.database import Sessions
from messaging import put
from observability import get_logger, tracer

log = get_logger(__name__)

ROUND_S = 0.25
TELL_S = 1.0  # what is counted on many grants and services goes out together
TOLD_AT_MOST = 400  # of each: all gateways read what is told, and nothing's safety waits for a count
GAUGES_S = 15
PURGE_S = 3600


class Patrol:
    """The monitor's rounds. Each step is a transaction of its own and answers how much it did."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self._sessions, self._clock = sessions, clock

    async def run(self) -> None:
        """Rounds for ever, without a pause while there is more to do than one round takes."""
        while True:
            if not await self.round():
                await asyncio.sleep(ROUND_S)

    async def round(self) -> bool:
        """One round; whether it found more than it could do."""
        async with self._sessions.begin() as session:
            waits = await what_waits(session, now=self._clock(), host_now=host_utc())
        steps = {
            self.sweep: waits.blocks,
            self.do_due: waits.due,
        }
        done = [await step() for step, found in steps.items() if found]
        return any(count >= BATCH for count in done)

    async def do_due(self) -> int:
        """Warns and expires the grants whose instant has come."""
        now, host_now = self._clock(), host_utc()
        async with self._sessions.begin() as session:
            due = await grants_due(session, now)
            if not due:
                return 0
            with tracer(__name__).start_as_current_span("grants due"):
                async with books_of(session, held=due, now=now, host_now=host_now, blocks=False) as books:
                    for grant in due:
                        books.review(grant.certificate_id)
        return len(due)

    async def sweep(self) -> int:
        """Forfeits the blocks whose validity is over."""
        now, host_now = self._clock(), host_utc()
        async with self._sessions.begin() as session:
            found = await grants_with_overdue_blocks(session, host_now)
            if not found:
                return 0
            async with books_of(session, found, now=now, host_now=host_now, lock="skip", overdue=True, blocks=False) as books:
                overdue = len(books.allowances)
                books.sweep()
        log.warning("blocks were forfeited", blocks=overdue)
        return overdue

    async def keep_told(self) -> None:
        """Tells what was counted, for ever; of very many grants that are busy at once, each in its turn."""
        await _every(TELL_S, self.tell)

    async def tell(self, at_most: int = TOLD_AT_MOST) -> tuple[int, int]:
        """Tells grants that were counted on, and what client services used, where that was not told within 2 s. How many.

        Up to `at_most` of each, those told longest ago first; before all others grants that have begun to drain.
        """
        now, host_now = self._clock(), host_utc()
        async with self._sessions.begin() as session:
            counted = await grants_to_tell(session, at_most, host_now)
            async with books_of(session, held=counted, now=now, host_now=host_now, blocks=False) as books:
                for grant in counted:
                    books.tell_again(grant.certificate_id)
            usages = await usage_to_tell(session, at_most, now=now, host_now=host_now)
            await put(session, *usages, at=now)
        return len(counted), len(usages)

    async def keep_gauges(self) -> None:
        """Shows the grants nearest to their next due instant, for ever."""
        await _every(GAUGES_S, self.show_gauges)

    async def show_gauges(self) -> None:
        """Once."""
        async with self._sessions.begin() as session:
            show_grants(await nearest_epochs(session))
            ALLOWANCE_OPEN.set(await open_blocks(session))

    async def keep_purged(self) -> None:
        """Removes blocks that nothing can tell of any more, for ever."""
        await _every(PURGE_S, self.purge)

    async def purge(self) -> None:
        """Once."""
        async with self._sessions.begin() as session:
            await purge_blocks(session, host_utc())


async def _every(seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    while True:
        await work()
        await asyncio.sleep(seconds)
