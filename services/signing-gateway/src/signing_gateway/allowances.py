"""What this gateway may spend, in memory: allowances, the units taken from them, and who waits for more.

Pure book-keeping of ARCHITECTURE.md, "The hard promise" 1-6: nothing here waits, so there is no gap between test and
decrement. Instants are seconds of CLOCK_BOOTTIME. `asking` talks to the monitor.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from msgspec import Struct

from contracts.allowances import Settlement, Want
from signing_gateway.refusals import Refused

USABLE_SHARE = 0.9  # of the validity, counted from when the allowance's id was first sent
LAST_SECONDS = 5.0  # of a block in which no new call is begun with it
SHORTEST_LOOK = 0.1  # seconds a rate is measured over at least
AHEAD = 8.0  # seconds of signing in one block, far from the limit: each block costs a call, two statements and a settlement
SOON = 1.0  # seconds: a purse that lasts longer need not be filled at once
QUIET = 64  # units ahead, far from the limit, for who signs now and then: else each of its signatures would be a call
REMEMBERED = 600.0  # seconds for which it is known, without a block, that the limit is far
IDLE_NEAR = 1.0  # a block near the limit that lies idle this long goes back


class Need(Struct, frozen=True):
    """Signatures that one request of a client service needs at once, under one epoch of its certificate's grant."""

    certificate_id: UUID
    client_service_id: UUID
    epoch: int
    count: int


@dataclass(slots=True)
class Allowance:
    """A block of signatures of one grant epoch that is ours to spend, charged in full until it is settled."""

    id: UUID
    certificate_id: UUID
    client_service_id: UUID
    epoch: int
    n: int
    deadline: float
    usable_until: float  # no call is begun later: it would hardly be back in time
    near: bool
    used_at: float
    applied: int = 0  # signed, or nobody knows
    under_way: int = 0
    closed: bool = False

    @property
    def left(self) -> int:
        """Units that may still be taken."""
        return self.n - self.applied - self.under_way

    def take(self, count: int, at: float) -> "Units | None":
        """Units for one attempt, all or none."""
        if self.closed or self.left < count or at >= self.usable_until:
            return None
        self.under_way += count
        self.used_at = at
        return Units(self, count)

    def spare(self, at: float, epoch: int, need: int, *, draining: bool = False) -> bool:
        """Whether it should go back: spent, of an old epoch, idle, late, or too small for `need`; never with calls under way.

        Idle matters near the limit. One got far from it is kept, unless its grant is `draining` by now and others want it.
        """
        if self.closed or self.under_way:
            return False
        idle = (self.near or draining) and at - self.used_at >= IDLE_NEAR
        return self.left == 0 or self.epoch != epoch or idle or at >= self.usable_until or self.left < need

    def settlement(self) -> Settlement:
        """Closes it. Calls under way count as applied: what becomes of them is not known."""
        self.closed = True
        return Settlement(allowance_id=self.id, applied=self.applied + self.under_way)


@dataclass(slots=True)
class Units:
    """Units of one allowance, taken for one attempt. They end once: applied (signed or unknown) or given back (surely not)."""

    allowance: Allowance
    count: int
    ended: bool = False

    def apply(self) -> tuple[int, int]:
        """Counts them; answers the number of the first within the allowance and the allowance's cumulative total."""
        self._end()
        first = self.allowance.applied
        self.allowance.applied += self.count
        return first, self.allowance.applied

    def give_back(self) -> None:
        """They were certainly not used: another attempt may take them."""
        self._end()

    def _end(self) -> None:
        if self.ended:
            raise AssertionError("units end once")
        self.ended = True
        self.allowance.under_way -= self.count


Outcome = Units | Refused


@dataclass(eq=False, slots=True)
class Waiting:
    """One request that waits for units. `done` is called once, with the units or the refusal."""

    need: Need
    since: float
    patience: float  # the instant at which it gives up
    done: Callable[[Outcome], None]
    draining: bool = False  # the monitor was heard: all that is left is in somebody's hand


@dataclass(slots=True)
class Asked:
    """A block that was asked for. A lost answer is asked for again under the same id."""

    want: Want
    first_sent: float | None = None
    repeated: bool = False  # a call that carried it got no answer


@dataclass(slots=True)
class Purse:
    """What one client service may spend of one certificate's grant here, and its requests that wait, longest first."""

    certificate_id: UUID
    client_service_id: UUID
    allowances: list[Allowance] = field(default_factory=list)
    waiting: deque[Waiting] = field(default_factory=deque)
    asked: Asked | None = None
    not_before: float = 0.0  # the next asking, after an answer that said to wait
    near: bool = True  # until an allowance says otherwise
    taken: int = 0  # since `counted_from`
    counted_from: float = 0.0
    last_rate: float = 0.0  # signatures a second, over the second or more before `counted_from`

    def take(self, need: Need, at: float) -> Units | None:
        """Units of an allowance in hand. Who came first is served first: a large batch is not starved by small ones."""
        return None if self.waiting else self._take(need, at)

    def _take(self, need: Need, at: float) -> Units | None:
        for allowance in self.allowances:
            if allowance.epoch == need.epoch and (units := allowance.take(need.count, at)):
                self.taken += need.count
                return units
        return None

    def serve(self, at: float) -> None:
        """Gives the waiting what is in hand, in their order, until one needs more."""
        while self.waiting and (units := self._take(self.waiting[0].need, at)):
            self.waiting.popleft().done(units)

    def refuse(self, epoch: int, why: Callable[[], Refused], *, needing_over: int = 0) -> None:
        """Tells the waiting of that epoch that need more than `needing_over` why they get nothing."""
        for waiting in [w for w in self.waiting if w.need.epoch == epoch and w.need.count > needing_over]:
            self.waiting.remove(waiting)
            waiting.done(why())

    def ahead(self, at: float) -> int:
        """Units of the next seconds at the last rate; none near the limit, and none for a single request."""
        rate = self.rate(at)
        return 0 if self.near or rate < 2 else int(AHEAD * rate)

    def rate(self, at: float) -> float:
        """Signatures a second: of the present look, and while that is shorter than a second no less than of the last.

        A look outlives the askings within its second: else a busy purse would count on what it took since the last asking
        alone, ask for that little, and ask ever more often.
        """
        seconds = at - self.counted_from
        lately = self.taken / max(SHORTEST_LOOK, seconds)
        return lately if seconds >= 1 else max(lately, self.last_rate)

    def wants_more(self, epoch: int, at: float) -> bool:
        """Whether to ask now: somebody waits, or, far from the limit, half is spent."""
        if self.asked or at < self.not_before:
            return False
        if self.waiting:
            return True
        had, left = self._held(epoch)
        return had > 0 and left * 2 <= had and self.ahead(at) > 0

    def lasts(self, epoch: int, at: float) -> bool:
        """Whether what is in hand is enough for the next second at the last rate."""
        return self._held(epoch)[1] >= self.rate(at) * SOON

    def _held(self, epoch: int) -> tuple[int, int]:
        had = left = 0
        for allowance in self.allowances:  # no comprehension: every request asks this
            if allowance.epoch == epoch and not allowance.closed:
                had += allowance.n
                left += allowance.left
        return had, left

    def want(self, allowance_id: UUID, epoch: int, at: float) -> Want:
        """What to ask for: enough for the longest waiting, at most for all that wait and what is due ahead."""
        if self.waiting:
            epoch = self.waiting[0].need.epoch
        need = self.waiting[0].need.count if self.waiting else 1
        ahead = 0 if self.near else max(self.ahead(at), QUIET)
        wanted = sum(w.need.count for w in self.waiting if w.need.epoch == epoch) + ahead
        if at - self.counted_from >= 1:
            self.last_rate, self.taken, self.counted_from = self.rate(at), 0, at
        return Want(
            allowance_id=allowance_id,
            certificate_id=self.certificate_id,
            client_service_id=self.client_service_id,
            epoch=epoch,
            need=need,
            want=min(max(need, wanted), 100_000_000),
        )

    def idle(self, at: float) -> bool:
        """Nothing is held, asked or waited for, and nothing known that is worth keeping."""
        known = not self.near and at - self.counted_from < REMEMBERED
        return not (self.allowances or self.waiting or self.asked or known)
