"""Signing at the authorities through the CA connector: what waits goes in one bulk call, whatever its certificates (ADR 25)."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import NamedTuple
from uuid import UUID

import msgspec

from hosting import boottime
from hosting.calls import CallNotSent, CallOutcomeUnknown, CallRefused, InternalCalls
from observability import carried_on
from signing_gateway.wire import SignCall, SignItem, SignResult, results

PATH = "/internal/v1/signatures"
QUICK_CALLS = 2  # calls under way at which others wait to go together
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


class Authority:
    """Asks the connector. An item waits only while calls are under way, so an idle gateway adds no delay and needs no timer.

    The answer to each item comes as soon as its authority gave it: a slow one holds up nobody else's. A call lasts as long as its
    slowest item, so a certificate has a few at most, and a slow authority cannot take up all that a process can have.
    """

    def __init__(self, connector: InternalCalls) -> None:
        self._connector = connector
        self._waiting: deque[Asked] = deque()
        self._held: defaultdict[UUID, list[Asked]] = defaultdict(list)  # those whose certificate has as many calls as it may
        self._held_until: dict[UUID, asyncio.TimerHandle] = {}  # the first of them has waited too long
        self._of_certificate: Counter[UUID] = Counter()  # calls in which an answer is awaited
        self._trace: str | None = None  # of the first traced item that waits
        self._quick = 0
        self._starting = False
        self._calls: set[asyncio.Task[None]] = set()

    async def sign(self, item: SignItem, trace: str | None = None) -> SignResult:
        """What became of one item. `trace`: its request's traceparent, when that is traced.

        Raises CallNotSent or CallRefused when nothing was done, CallOutcomeUnknown when nobody knows.
        """
        result: asyncio.Future[SignResult] = asyncio.get_running_loop().create_future()
        self._waiting.append(Asked(item, result, boottime()))
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
        pending = {each.item.item_id: each for each in asked}
        fault: Exception = CallOutcomeUnknown("the CA connector was not heard to its end")
        try:
            with carried_on("ask the CA connector", trace) if trace else nullcontext():
                await self._heard(SignCall([each.item for each in asked]), pending)
        except (CallNotSent, CallRefused, CallOutcomeUnknown) as why:
            fault = why
        except msgspec.DecodeError:
            fault = CallOutcomeUnknown("the CA connector answered what is no result")
        finally:
            for each in pending.values():
                if not each.result.done():
                    each.result.set_exception(fault)
            self._answered({each.item.certificate_id for each in pending.values()})
            over()

    def _taken(self) -> list[Asked]:
        """What goes in the next call, in its order: as much as the connector reads at once, of certificates that may have it."""
        taken: list[Asked] = []
        hashes, too_old = 0, boottime() - WAIT_S
        while self._waiting and len(taken) < MOST:
            asked = self._waiting.popleft()
            if not self._may_go(asked, too_old):
                continue
            hashes += len(asked.item.hashes)
            if taken and hashes > MOST_HASHES:
                self._waiting.appendleft(asked)
                break
            taken.append(asked)
        self._of_certificate.update({each.item.certificate_id for each in taken})
        return taken

    def _may_go(self, asked: Asked, too_old: float) -> bool:
        """Whether somebody waits for it, not for too long, and its certificate may have another call."""
        if asked.result.done():
            return False
        if asked.since < too_old:
            asked.result.set_exception(CallNotSent("too many calls for this certificate are under way"))
            return False
        certificate_id = asked.item.certificate_id
        if self._of_certificate[certificate_id] >= CALLS_PER_CERTIFICATE:
            if certificate_id not in self._held:
                left = asked.since - too_old
                self._held_until[certificate_id] = asyncio.get_running_loop().call_later(left, self._judge_again, certificate_id)
            self._held[certificate_id].append(asked)
            return False
        return True

    def _judge_again(self, certificate_id: UUID) -> None:
        """What is held for it goes, is held again, or has waited too long."""
        if held := self._held.pop(certificate_id, None):
            self._held_until.pop(certificate_id).cancel()
            self._waiting.extend(held)
            self._call_if_free()

    def _answered(self, certificates: Iterable[UUID]) -> None:
        """A call awaits nothing more for these: what was held for them goes next."""
        for certificate_id in certificates:
            self._of_certificate[certificate_id] -= 1
            if not self._of_certificate[certificate_id]:
                del self._of_certificate[certificate_id]
            self._judge_again(certificate_id)

    async def _heard(self, call: SignCall, pending: dict[str, Asked]) -> None:
        """Hands over each result once, as it comes; one that nobody asked for is nobody's."""
        if not call.items:
            return
        awaited = Counter(item.certificate_id for item in call.items)
        async for lines in self._connector.lines(PATH, call.body()):
            for result in results(lines):
                asked = pending.pop(result.item_id, None)
                if asked is None:
                    continue
                if not asked.result.done():
                    asked.result.set_result(result)
                awaited[asked.item.certificate_id] -= 1
                if not awaited[asked.item.certificate_id]:
                    self._answered([asked.item.certificate_id])

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
