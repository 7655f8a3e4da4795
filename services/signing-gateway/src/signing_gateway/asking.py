"""Gets allowances from the grant monitor and gives them back: one bulk call at a time carries all that has come up meanwhile."""

import asyncio

from prometheus_client import Counter, Gauge

from contracts.allowances import AllowanceReply
from hosting import boottime
from hosting.calls import CallNotSent, CallOutcomeUnknown, CallRefused, InternalCalls
from observability import carried_on, get_logger, traceparent
from signing_gateway.allowances import Need, Outcome, Units
from signing_gateway.book import Book, EpochOf, GrantDrains, never_draining

log = get_logger(__name__)

PATH = "/internal/v1/allowances"
TICK = 0.25  # seconds between looks when nothing happens
QUICK_TICK = 0.05  # while somebody waits
SWEEP = 0.5  # seconds between looks for what nobody asks to have settled
SLOWEST_RETRY = 1.0
CLOSING_CALLS = 4

OPEN = Gauge("allowance_held", "Allowances in hand")
DENIED = Counter("allowance_refused_total", "Answers of the grant monitor that granted nothing", ["reason"])


class Asker:
    """The one place through which units are taken, applied and given back."""

    def __init__(self, monitor: InternalCalls, epoch_of: EpochOf, holder: str, *, draining: GrantDrains = never_draining) -> None:
        self._monitor = monitor
        self._epoch_of = epoch_of
        self._book = Book(holder, draining=draining)
        self._woken = asyncio.Event()
        self._calling = asyncio.Lock()
        self._closed = False
        self._sweep_at = 0.0
        self._retry_after = 0.0
        OPEN.set_function(lambda: self._book.open_allowances)
        self._asked_by: str | None = None  # the trace of the request that has waited longest

    def in_hand(self, need: Need) -> Units | None:
        """The units needed, where there is no need to wait for them."""
        units = self._book.take(need, boottime())
        self._wake()
        return units

    async def take(self, need: Need) -> Units:
        """The units needed, all or none. Raises a refusal of `refusals`: EpochMoved means judge again."""
        if units := self.in_hand(need):
            return units
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._asked_by = self._asked_by or traceparent()
        waiting = self._book.wait(need, boottime(), lambda outcome: self._hand_over(answer, outcome))
        try:
            outcome = await answer
        except asyncio.CancelledError:
            self._book.withdraw(waiting)
            if answer.done() and not answer.cancelled() and isinstance(answer.result(), Units):
                self._hand_back(answer.result())
            raise
        if isinstance(outcome, Units):
            return outcome
        raise outcome

    def apply(self, units: Units) -> tuple[int, int]:
        """The units are used, or nobody knows; `(first, total)` as the event tells them."""
        numbers = self._book.apply(units, boottime())
        self._wake()
        return numbers

    def give_back(self, units: Units) -> None:
        """The units were certainly not used."""
        self._book.give_back(units, boottime())
        self._wake()

    def _wake(self) -> None:
        """Only for something to say: waking for every signature would cost as much as signing it."""
        if self._book.pressing:
            self._woken.set()

    async def run(self) -> None:
        """Talks to the monitor for the life of the process."""
        while not self._closed:
            await self._next_look()
            self._woken.clear()
            async with self._calling:
                if not self._closed:
                    await self._once()

    async def close(self) -> None:
        """Settles everything, bounded: what the monitor cannot be told is forfeited when its validity ends."""
        self._closed = True
        self._woken.set()
        async with self._calling:
            self._book.close()
            for _ in range(CLOSING_CALLS):
                if not await self._once():
                    break
                await asyncio.sleep(self._retry_after)

    async def _next_look(self) -> None:
        await asyncio.sleep(self._retry_after)
        try:
            await asyncio.wait_for(self._woken.wait(), QUICK_TICK if self._book.pressing else TICK)
        except TimeoutError:
            return

    async def _once(self) -> bool:
        """One look and, when there is something to say, one call; answers whether there was."""
        at = boottime()
        self._book.tire(at)
        sweep = at >= self._sweep_at
        if sweep:
            self._sweep_at = at + SWEEP
        call = self._book.next_call(at, self._epoch_of, sweep=sweep)
        if call is None:
            return False
        asked_by, self._asked_by = self._asked_by, None
        try:
            with carried_on("settle and ask for allowances", asked_by):
                reply = await self._monitor.post(PATH, call, AllowanceReply)
        except (CallNotSent, CallOutcomeUnknown, CallRefused) as fault:
            self._retry_after = min(max(self._retry_after * 2, 0.1), SLOWEST_RETRY)
            DENIED.labels("monitor-away").inc(len(call.want))
            log.warning("the grant monitor gave no allowance", reason=str(fault), wants=len(call.want), settles=len(call.settle))
            return True
        self._retry_after = 0.0
        for denied in self._book.answered(call, reply, boottime()):
            DENIED.labels(denied.kind).inc()
        self._woken.set()
        return True

    def _hand_over(self, answer: "asyncio.Future[Outcome]", outcome: Outcome) -> None:
        if not answer.done():
            answer.set_result(outcome)
        elif isinstance(outcome, Units):
            self._hand_back(outcome)

    def _hand_back(self, units: Outcome) -> None:
        assert isinstance(units, Units)
        self.give_back(units)
