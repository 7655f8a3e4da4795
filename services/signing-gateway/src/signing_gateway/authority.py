"""Signing at the authorities through the CA connector: what waits goes in one bulk call, whatever its certificates (ADR 25)."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import NamedTuple

import msgspec

from hosting import boottime
from hosting.calls import CallNotSent, CallOutcomeUnknown, CallRefused, InternalCalls
from observability import carried_on, untraced
from signing_gateway.wire import SignCall, SignItem, SignResult, results

PATH = "/internal/v1/signatures"
QUICK_CALLS = 1  # with two, each carries half as much and costs as much
QUICK_S = 0.02  # a call that takes longer is slow by itself: nobody waits for it any more
MOST = 500  # items in one call
MOST_HASHES = 40_000  # in one call, under half of the 8 MiB that the connector reads; a larger item would go by itself
CALLS_PER_CERTIFICATE = 8  # that its answers are awaited from: what comes meanwhile goes together
WAIT_S = 8.0  # for such a call to be answered; whoever waits longer is not sent, since its answer would find nobody


class Asked(NamedTuple):
    """One item, who waits for it, and since which boot time."""

    item: SignItem
    result: asyncio.Future[SignResult]
    since: float


class Line:
    """One certificate's items: the calls that an answer is awaited from, and what is held because there are so many."""

    __slots__ = ("calls", "held", "number", "until")

    def __init__(self, number: int) -> None:
        self.number, self.calls = number, 0
        self.held: list[Asked] = []
        self.until: asyncio.TimerHandle | None = None  # the first of the held has waited too long


class Authority:
    """Asks the connector. An item waits only while calls are under way, so an idle gateway adds no delay and needs no timer.

    The answer to each item comes as soon as its authority gave it: a slow one holds up nobody else's. A call lasts as long as its
    slowest item, so a certificate has a few at most, and a slow authority cannot take up all that a process can have.
    """

    def __init__(self, connector: InternalCalls) -> None:
        self._connector = connector
        self._waiting: deque[Asked] = deque()
        self._lines: dict[int, Line] = {}  # of certificates with calls, by the number of their id, whose hash is no Python code
        self._trace: str | None = None  # of the first traced item that waits
        self._quick = 0
        self._starting = False
        self._calls: set[asyncio.Task[None]] = set()

    def asked(self, item: SignItem, trace: str | None = None) -> "asyncio.Future[SignResult]":
        """What becomes of one item. `trace`: its request's traceparent, when that is traced.

        Raises CallNotSent or CallRefused when nothing was done, CallOutcomeUnknown when nobody knows.
        """
        result: asyncio.Future[SignResult] = asyncio.get_running_loop().create_future()
        self._waiting.append(Asked(item, result, boottime()))
        self._trace = self._trace or trace
        self._call_if_free()
        return result

    def _call_if_free(self) -> None:
        """Begins a call that takes along whatever else comes up before the event loop gets to it."""
        if self._waiting and not self._starting and self._quick < QUICK_CALLS:
            self._starting = True
            self._quick += 1
            call = asyncio.create_task(self._call(), context=Context())  # it goes on with others than who began it
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _call(self) -> None:
        pending, awaited = self._taken()
        trace, self._trace, self._starting = self._trace, None, False
        over = self._slot()
        fault: Exception = CallOutcomeUnknown("the CA connector was not heard to its end")
        try:
            with carried_on("ask the CA connector", trace) if trace else untraced():
                await self._heard(pending, awaited)
        except (CallNotSent, CallRefused, CallOutcomeUnknown) as why:
            fault = why
        except msgspec.DecodeError:
            fault = CallOutcomeUnknown("the CA connector answered what is no result")
        finally:
            for asked, _ in pending.values():
                if not asked.result.done():
                    asked.result.set_exception(fault)
            for line in awaited:
                self._answered(line)
            over()

    def _taken(self) -> tuple[dict[str, tuple[Asked, Line]], dict[Line, int]]:
        """What goes in the next call, by item id, in its order; and how many answers each certificate awaits from it.

        It is as much as the connector reads at once, of certificates that may have it.
        """
        taken: dict[str, tuple[Asked, Line]] = {}
        awaited: dict[Line, int] = {}
        hashes, too_old = 0, boottime() - WAIT_S
        while self._waiting and len(taken) < MOST:
            asked = self._waiting.popleft()
            line = self._line_of(asked, too_old)
            if line is None:
                continue
            hashes += len(asked.item.hashes)
            if taken and hashes > MOST_HASHES:
                self._waiting.appendleft(asked)
                break
            taken[asked.item.item_id] = asked, line
            awaited[line] = awaited.get(line, 0) + 1
        for line in awaited:
            line.calls += 1
        return taken, awaited

    def _line_of(self, asked: Asked, too_old: float) -> Line | None:
        """Its certificate's line, where somebody waits for it, not for too long, and its certificate may have another call."""
        if asked.result.done():
            return None
        if asked.since < too_old:
            asked.result.set_exception(CallNotSent("too many calls for this certificate are under way"))
            return None
        number = asked.item.certificate_id.int
        line = self._lines.get(number)
        if line is None:
            line = self._lines[number] = Line(number)
        if line.calls < CALLS_PER_CERTIFICATE:
            return line
        if not line.held:
            line.until = asyncio.get_running_loop().call_later(asked.since - too_old, self._judge_again, line)
        line.held.append(asked)
        return None

    def _judge_again(self, line: Line) -> None:
        """What is held for it goes, is held again, or has waited too long."""
        if line.held:
            assert line.until
            line.until.cancel()
            self._waiting.extend(line.held)
            line.held = []
            self._call_if_free()

    def _answered(self, line: Line) -> None:
        """A call awaits nothing more for this certificate: what was held for it goes next."""
        line.calls -= 1
        self._judge_again(line)
        if not line.calls:
            self._lines.pop(line.number, None)

    async def _heard(self, pending: dict[str, tuple[Asked, Line]], awaited: dict[Line, int]) -> None:
        """Hands over each result once, as it comes; one that nobody asked for is nobody's."""
        if not pending:
            return
        call = SignCall([asked.item for asked, _ in pending.values()])
        async for lines in self._connector.lines(PATH, call.body()):
            for result in results(lines):
                found = pending.pop(result.item_id, None)
                if found is None:
                    continue
                asked, line = found
                if not asked.result.done():
                    asked.result.set_result(result)
                awaited[line] -= 1
                if not awaited[line]:
                    del awaited[line]
                    self._answered(line)

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
