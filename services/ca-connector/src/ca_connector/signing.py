"""Signing for the gateways: items wait in lanes, and for each lane a few calls are under way at a time (ADR 27)."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from uuid import UUID

from ca_connector.activation import MAX_HASHES_PER_CALL, hashes_per_call
from ca_connector.bulk import Reply, SignItem
from ca_connector.calling import NOT_SENT, Calls
from ca_connector.fence import Fence
from ca_connector.lanes import Algorithms, Lane, Waiting
from ca_connector.sealing import SealBroken
from ca_connector.storage.access import Access
from hosting import boottime
from observability import of_nobody

CALLS_PER_CA = 100  # under way at a time; what waits longer is coalesced more
WAIT_S = 8.0  # for a turn; together with the time a CA is given it stays within what a gateway waits


class Signing:
    """Takes items and tells what became of each."""

    def __init__(self, fence: Fence, calls: Calls, *, calls_per_lane: int) -> None:
        self._fence, self._calls, self._calls_per_lane = fence, calls, calls_per_lane
        self._lanes: dict[tuple[int, Algorithms], Lane] = {}  # by the id's number: a UUID hashes itself in Python, time and again
        self._turns: dict[UUID | None, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(CALLS_PER_CA))
        self._at_work: set[asyncio.Task[None]] = set()

    def take(self, items: Iterable[SignItem], reply: Reply) -> None:
        """Each item's result goes to `reply` as soon as it is known."""
        for item in items:
            algorithms = item.hash_algorithm_oid, item.sign_algorithm_oid, item.sign_algorithm_params
            key = item.certificate_id.int, algorithms
            lane = self._lanes.get(key)
            if lane is None:
                lane = self._lanes[key] = Lane(item.certificate_id, algorithms)
            lane.waiting.append(Waiting(item, reply))
            if lane.wants_another(self._calls_per_lane):
                self._set_out(lane)

    async def close(self) -> None:
        """Ends what nobody waits for any more."""
        for task in self._at_work:
            task.cancel()
        await asyncio.gather(*self._at_work, return_exceptions=True)
        await self._fence.close()

    def _set_out(self, lane: Lane) -> None:
        lane.set_out()
        task = asyncio.get_running_loop().create_task(self._work(lane), context=of_nobody())
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)

    async def _work(self, lane: Lane) -> None:
        """Call after call, until nothing waits in the lane."""
        try:
            while lane.waiting:
                known = self._known(lane) or await self._looked_for(lane)
                turns = self._turns[known.certificate_authority_id if known else None]
                if await _turn(turns):
                    try:
                        if items := self._taken(lane, hashes_per_call(known) if known else MAX_HASHES_PER_CALL):
                            await self._calls.call(lane, items)
                    finally:
                        turns.release()
                if lane.waiting:
                    lane.shed(_too_long_ago())
        finally:
            if lane.came_back():
                self._lanes.pop((lane.certificate_id.int, lane.algorithms), None)

    def _taken(self, lane: Lane, step: int) -> list[Waiting]:
        """The items of one call."""
        lane.shed(_too_long_ago())
        items = lane.take(step)
        if lane.waiting and lane.wants_another(self._calls_per_lane):
            self._set_out(lane)  # for what this call does not take: nobody new may come to ask for it
        return items

    def _known(self, lane: Lane) -> Access | None:
        """The access as last seen, which says whose turn it is and how much one call takes."""
        try:
            return self._fence.access(lane.certificate_id)
        except SealBroken:  # the call looks again, and says to those who wait what is wrong
            return None

    async def _looked_for(self, lane: Lane) -> Access | None:
        """The access that was never seen yet."""
        with suppress(*NOT_SENT):  # as above
            await self._fence.look(lane.certificate_id, [lane.waiting[0].item.epoch])
            return self._fence.access(lane.certificate_id)
        return None


async def _turn(turns: asyncio.Semaphore) -> bool:
    """Whether the turn came in time."""
    if not turns.locked():  # a time-out that is never needed would be set and taken back for every call
        return await turns.acquire()
    with suppress(TimeoutError):
        async with asyncio.timeout(WAIT_S):
            return await turns.acquire()
    return False


def _too_long_ago() -> float:
    """Who waits since before this boot time has waited too long. A timer may be early by a little, which this must not be."""
    return boottime() - 0.9 * WAIT_S
