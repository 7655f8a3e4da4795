"""Signs the orders that were accepted to be signed soon, a few at a time; beside it nothing differs from signing at once."""

import asyncio
import binascii
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from hosting import Clock
from hosting.clock import host_utc
from observability import get_logger
from signing_gateway.algorithms import SigningAlgorithm
from signing_gateway.refusals import OutcomeUnknown, PassesByItself, RecordsAway, Refused
from signing_gateway.routes.answers import refused
from signing_gateway.signing import Order, Signer
from signing_gateway.storage.deferred import GIVEN_UP_AFTER, Decided, DeferredOrders, Taken

log = get_logger(__name__)

AT_ONCE = 8  # orders that one gateway signs at the same time
LOOK_S = 1.0  # for orders that another gateway accepted, or left
PATIENCE = timedelta(minutes=5)  # with what passes by itself; then the order is refused
FAULTS_BORNE = GIVEN_UP_AFTER // timedelta(seconds=LOOK_S)  # of a database that is there; by then others end the order
LOST = OutcomeUnknown("The gateway that was signing has not said what came of it.")

TDone = TypeVar("TDone")


class Deferring:
    """The worker of one gateway."""

    def __init__(self, orders: DeferredOrders, signer: Signer, clock: Clock) -> None:
        self._orders, self._signer, self._clock = orders, signer, clock
        self._free = asyncio.Semaphore(AT_ONCE)
        self._closing = False

    async def run(self) -> None:
        """Takes and signs orders for the life of the process."""
        async with asyncio.TaskGroup() as signing:
            while not self._closing:
                await self._free.acquire()
                taken = None
                try:
                    taken = await self._look()
                finally:
                    if taken is None:
                        self._free.release()
                if taken:
                    signing.create_task(self._ended(taken)).add_done_callback(lambda _: self._free.release())
                else:
                    await self._waited()

    async def close(self) -> None:
        """Takes no more, and returns when those under way are decided."""
        self._closing = True
        self._orders.arrived.set()
        for _ in range(AT_ONCE):
            await self._free.acquire()

    async def _look(self) -> Taken | None:
        """An order to sign, if there is one and the database gives it. What a gateway lost that was signing ends here too."""
        self._orders.arrived.clear()
        try:
            if buried := await self._orders.bury(Decided(*refused(LOST)), host_utc()):
                log.error("a gateway that was signing is gone or lost track; the outcome is not known", orders=buried)
            return await self._orders.take(self._clock(), host_utc())
        except RecordsAway:
            return None
        except Exception:
            log.exception("no order could be taken; soon it is tried again")
            return None

    async def _waited(self) -> None:
        try:
            await asyncio.wait_for(self._orders.arrived.wait(), LOOK_S)
        except TimeoutError:
            return

    async def _ended(self, taken: Taken) -> None:
        """One order's fault is its own: those beside it are being signed."""
        try:
            await self._signed(taken)
        except Exception:
            log.exception("what came of an order could not be recorded", response_id=str(taken.response_id))

    async def _signed(self, taken: Taken) -> None:
        certainly_not = False
        try:
            decided = Decided(200, {"signatures": await self._sign(taken)})
        except OutcomeUnknown as why:
            decided = Decided(*refused(why))
        except Refused as why:
            if isinstance(why, PassesByItself) and self._clock() < taken.accepted_at + PATIENCE:
                again = host_utc() + timedelta(seconds=why.retry_after or LOOK_S)
                await _until_recorded(lambda: self._orders.put_back(taken, not_before=again))
                return
            decided, certainly_not = Decided(*refused(why)), True
        except Exception:
            log.exception("an order could not be signed", response_id=str(taken.response_id))
            decided = Decided(*refused(LOST))
        if not await _until_recorded(lambda: self._orders.decide(taken, decided, self._clock(), refused=certainly_not)):
            log.error("an order was decided before: by others, or unheard of", response_id=str(taken.response_id))

    async def _sign(self, taken: Taken) -> list[str]:
        told = taken.order
        digests = [binascii.a2b_base64(value) for value in told.hashes]
        algorithm = SigningAlgorithm(told.sign_algo, told.hash_oid)
        order = Order(algorithm, told.hashes, digests, told.certificate_id)
        return await self._signer.sign(told.client_service_id, order)


async def _until_recorded(work: Callable[[], Awaitable[TDone]]) -> TDone:
    """Tries until the database is there: the signatures are in memory alone meanwhile. Raises a fault of it that does not end."""
    faults = 0
    while True:
        try:
            return await work()
        except RecordsAway:
            pass
        except Exception as fault:
            faults += 1
            if faults == FAULTS_BORNE:
                raise
            log.warning("what came of an order is not recorded yet", reason=str(fault))
        await asyncio.sleep(LOOK_S)
