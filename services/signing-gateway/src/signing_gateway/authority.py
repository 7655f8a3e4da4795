"""Signing at the authorities through the CA connector: what waits goes in one bulk call, whatever its certificates (ADR 25)."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext

import msgspec

from hosting.calls import CallNotSent, CallOutcomeUnknown, CallRefused, InternalCalls
from observability import carried_on
from signing_gateway.wire import SignCall, SignItem, SignResult, results

PATH = "/internal/v1/signatures"
QUICK_CALLS = 2  # calls under way at which others wait to go together
QUICK_S = 0.02  # a call that takes longer is slow by itself: nobody waits for it any more
MOST = 500  # items in one call
MOST_HASHES = 40_000  # in one call, under half of the 8 MiB that the connector reads; a larger item would go by itself

Asked = tuple[SignItem, "asyncio.Future[SignResult]"]


class Authority:
    """Asks the connector. An item waits only while calls are under way, so an idle gateway adds no delay and needs no timer.

    The answer to each item comes as soon as its authority gave it: a slow one holds up nobody else's.
    """

    def __init__(self, connector: InternalCalls) -> None:
        self._connector = connector
        self._waiting: deque[Asked] = deque()
        self._trace: str | None = None  # of the first traced item that waits
        self._quick = 0
        self._starting = False
        self._calls: set[asyncio.Task[None]] = set()

    async def sign(self, item: SignItem, trace: str | None = None) -> SignResult:
        """What became of one item. `trace`: its request's traceparent, when that is traced.

        Raises CallNotSent or CallRefused when nothing was done, CallOutcomeUnknown when nobody knows.
        """
        result: asyncio.Future[SignResult] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, result))
        self._trace = self._trace or trace
        self._call_if_free()
        return await result

    def _call_if_free(self) -> None:
        """Begins a call that takes along whatever else comes up before the event loop gets to it."""
        if self._waiting and not self._starting and self._quick < QUICK_CALLS:
            self._starting = True
            self._quick += 1
            call = asyncio.create_task(self._call())
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _call(self) -> None:
        asked = self._taken()
        trace, self._trace, self._starting = self._trace, None, False
        over = self._slot()
        pending = {item.item_id: result for item, result in asked}
        fault: Exception = CallOutcomeUnknown("the CA connector was not heard to its end")
        try:
            with carried_on("ask the CA connector", trace) if trace else nullcontext():
                call = SignCall([item for item, _ in asked if not pending[item.item_id].done()])
                await self._heard(call, pending)
        except (CallNotSent, CallRefused, CallOutcomeUnknown) as why:
            fault = why
        except msgspec.DecodeError:
            fault = CallOutcomeUnknown("the CA connector answered what is no result")
        finally:
            for result in pending.values():
                if not result.done():
                    result.set_exception(fault)
            over()

    def _taken(self) -> list[Asked]:
        """What goes in the next call, in its order: as much as the connector reads at once."""
        taken: list[Asked] = []
        hashes = 0
        while self._waiting and len(taken) < MOST:
            hashes += len(self._waiting[0][0].hashes)
            if taken and hashes > MOST_HASHES:
                break
            taken.append(self._waiting.popleft())
        return taken

    async def _heard(self, call: SignCall, pending: dict[str, "asyncio.Future[SignResult]"]) -> None:
        """Hands over each result once, as it comes; one that nobody asked for is nobody's."""
        if not call.items:
            return
        async for lines in self._connector.lines(PATH, call.body()):
            for result in results(lines):
                waiter = pending.pop(result.item_id, None)
                if waiter is not None and not waiter.done():
                    waiter.set_result(result)

    def _slot(self) -> Callable[[], None]:
        """What ends a call's place among the quick ones: when it is over, or after a while if it is not."""
        held = True

        def over() -> None:
            nonlocal held
            if held:
                held = False
                later.cancel()
                self._quick -= 1
                self._call_if_free()

        later = asyncio.get_running_loop().call_later(QUICK_S, over)
        return over
