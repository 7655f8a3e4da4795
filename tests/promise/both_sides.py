"""The two sides of the allowance protocol, from the product's own pure functions: a monitor's books and a gateway's book.

A monitor is a value: each transaction opens `Books` of just the rows that storage would open, and answers the monitor that a
commit leaves behind. A gateway is a `Book` with the requests that wait in it and the calls to the authority under way. Neither
reads a clock or a network: whoever drives them (`exploring`, `test_stateful`) says what is lost, late, doubled, or dead.
"""

import copy
from collections import Counter, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from contracts import AccessGrant, AllowanceCall, AllowanceReply, CaAccessGranted, Expiry, SignatureApplied
from grant_monitor.allowance import Allowance, UsageDiscrepancy
from grant_monitor.books import Books
from grant_monitor.grant import Epoch, Grant
from signing_gateway.allowances import Need, Outcome, Units
from signing_gateway.book import Book

CERTIFICATE = UUID(int=12)
SERVICES = UUID(int=13), UUID(int=14)
START = datetime(2026, 11, 21, 12, tzinfo=UTC)
LONG_AFTER = START + timedelta(days=1)  # every validity is over by then
LASTS = timedelta(days=60)


class NotHonoured(AssertionError):
    """An invariant of the hard promise does not hold."""


@dataclass(frozen=True)
class Monitor:
    """The rows of one certificate's grant, as committed."""

    grant: Grant | None = None
    epochs: tuple[Epoch, ...] = ()
    blocks: tuple[Allowance, ...] = ()
    told: tuple[AccessGrant, ...] = ()
    used: int = 0  # signatures added to the client services' days
    mends: int = 0  # messages of honest gateways that were refused

    def open(self, number: int, limit: int, *, at: datetime = START, warn_above_bp: int = 10_000) -> "Monitor":
        """The connector assigned an epoch."""
        granted = CaAccessGranted(
            certificate_id=CERTIFICATE,
            epoch=number,
            granted_at=at,
            expires_at=at + LASTS,
            usage_limit=limit,
            warn_before_s=0,
            warn_above_bp=warn_above_bp,
        )
        return self._done(lambda books: books.open(granted), (), now=at)

    def hear(self, call: AllowanceCall, *, now: datetime = START, host_now: datetime = START) -> tuple["Monitor", AllowanceReply]:
        """One `POST /internal/v1/allowances`, as the route handles it."""
        refused, reply = 0, AllowanceReply(answers=[])

        def work(books: Books) -> None:
            nonlocal refused, reply
            for item in call.settle:
                try:
                    books.settle(item.allowance_id, item.applied, call.holder)
                except UsageDiscrepancy:
                    refused += 1
            reply = AllowanceReply(answers=[books.answer(want, call.holder) for want in call.want])

        ids = {item.allowance_id for item in call.settle} | {want.allowance_id for want in call.want}
        after = self._done(work, ids, now=now, host_now=host_now)
        return replace(after, mends=self.mends + refused), reply

    def count(self, event: SignatureApplied, *, now: datetime = START, host_now: datetime = START) -> "Monitor":
        """One event of the topic `signatures`."""
        try:
            return self._done(lambda books: books.count(event, now), {event.allowance_id}, now=now, host_now=host_now)
        except UsageDiscrepancy:
            return replace(self, mends=self.mends + 1)

    def sweep(self, ids: Collection[UUID] | None = None, *, now: datetime = START, host_now: datetime = LONG_AFTER) -> "Monitor":
        """A patrol comes upon these blocks, or upon all."""
        found = {block.allowance_id for block in self.blocks} if ids is None else ids
        return self._done(lambda books: books.sweep(), found, now=now, host_now=host_now)

    def review(self, *, now: datetime, host_now: datetime) -> "Monitor":
        """A patrol comes upon what is due by the clock."""
        return self._done(lambda books: books.review(CERTIFICATE), (), now=now, host_now=host_now)

    def ledger_of(self, number: int) -> Epoch:
        """One epoch."""
        return next(epoch for epoch in self.epochs if epoch.number == number)

    def _done(
        self, work: Callable[[Books], None], ids: Collection[UUID], *, now: datetime, host_now: datetime = START
    ) -> "Monitor":
        """One transaction: as `storage.books_of` opens and writes it."""
        books = Books(now, host_now)
        if self.grant:
            books.grants = {CERTIFICATE: self.grant}
        books.allowances = {block.allowance_id: block for block in self.blocks if block.allowance_id in ids}
        numbers = {block.epoch for block in books.allowances.values()} | ({self.grant.epoch} if self.grant else set())
        books.epochs = {(CERTIFICATE, epoch.number): epoch for epoch in self.epochs if epoch.number in numbers}
        for block in self.blocks:
            if block.state == "open":
                books.open_blocks.setdefault((CERTIFICATE, block.epoch), Counter())[block.holder] += 1
        work(books)
        books.finish()
        epochs = {epoch.number: epoch for epoch in self.epochs} | {number: epoch for (_, number), epoch in books.epochs.items()}
        blocks = {block.allowance_id: block for block in self.blocks} | books.allowances
        return Monitor(
            books.grants.get(CERTIFICATE),
            tuple(epochs.values()),
            tuple(blocks.values()),
            (*self.told, *books.told),
            self.used + books.used.total(),
            self.mends,
        )


def ledgers_hold(monitor: Monitor) -> None:
    """What holds in the monitor's rows whatever was said to it. Raises NotHonoured."""
    if monitor.mends:
        raise NotHonoured("what an honest gateway told was refused")
    for epoch in monitor.epochs:
        ledger = epoch.ledger
        mine = [block for block in monitor.blocks if block.epoch == epoch.number]
        charged = ledger.settled + ledger.forfeited + ledger.reserved
        if not 0 <= charged <= ledger.usage_limit or min(ledger.settled, ledger.forfeited, ledger.reserved, ledger.counted) < 0:
            raise NotHonoured(f"ledger of epoch {epoch.number}: {ledger}")
        if ledger.reserved != sum(block.n for block in mine if block.state == "open"):
            raise NotHonoured(f"epoch {epoch.number}: what is reserved is not what is in open blocks")
        if ledger.used != sum(block.applied for block in mine):
            raise NotHonoured(f"epoch {epoch.number}: {ledger.used} used is not the sum of the blocks' greatest totals")
        if epoch.expired_reason == "usage" and (ledger.reserved or ledger.settled + ledger.forfeited != ledger.usage_limit):
            gone = ledger.settled + ledger.forfeited
            raise NotHonoured(f"false expiry: {gone} of {ledger.usage_limit} gone for good, {ledger.reserved} in hand")


class NoMoreBlocks(Exception):
    """The world is bounded: this gateway has asked for all the blocks that it may."""


class Ended(NamedTuple):
    """What became of one attempt: the units that stay spent, those that the authority may have signed, what the event tells."""

    epoch: int
    spent: int
    signed: int
    event: SignatureApplied | None = None


def applied_on_paper(book: Book, units: Units, at: float) -> tuple[int, int]:
    """What the product does with an attempt whose outcome nobody knows: it is charged."""
    return book.apply(units, at)


@dataclass
class Gateway:
    """One gateway process: its book, its requests, its calls under way, and its one call to the monitor."""

    number: int
    ids: deque[UUID] = field(default_factory=deque)  # of the blocks it may ask for
    unknown: Callable[[Book, Units, float], object] = applied_on_paper
    spendable: int = 1  # the epoch it has heard of
    draining: bool = False
    under_way: list[Units] = field(default_factory=list)
    refusals: list[Outcome] = field(default_factory=list)
    waiting: int = 0
    call: AllowanceCall | None = None
    reply: AllowanceReply | None = None
    closed: bool = False

    def __post_init__(self) -> None:
        self.book = Book(self.holder, self._new_id, draining=self._drains)

    @property
    def holder(self) -> str:
        """Who it is to the monitor."""
        return f"gw-{self.number}"

    def _new_id(self) -> UUID:
        if not self.ids:
            raise NoMoreBlocks
        return self.ids.popleft()

    def _drains(self, _certificate_id: UUID) -> bool:
        return self.draining

    def _epoch_of(self, _certificate_id: UUID) -> int:
        return self.spendable

    def request(self, count: int, at: float, service: int = 0) -> None:
        """A client asks for `count` signatures."""
        need = Need(CERTIFICATE, SERVICES[service], self.spendable, count)
        if units := self.book.take(need, at):
            self.under_way.append(units)
        else:
            self.waiting += 1
            self.book.wait(need, at, self._heard)

    def _heard(self, outcome: Outcome) -> None:
        self.waiting -= 1
        (self.under_way if isinstance(outcome, Units) else self.refusals).append(outcome)  # type: ignore[arg-type]

    def look(self, at: float, *, sweep: bool) -> None:
        """Says to the monitor what there is to say, unless it waits for an answer."""
        self.call = self.book.next_call(at, self._epoch_of, sweep=sweep)

    def answered(self, at: float) -> None:
        """Reads the answer to its call."""
        assert self.call is not None
        assert self.reply is not None
        call, reply, self.call, self.reply = self.call, self.reply, None, None
        self.book.answered(call, reply, at)

    def gives_up_the_call(self) -> None:
        """No answer came in time: it may have had its effect or not."""
        self.call = self.reply = None

    def tire(self, at: float) -> None:
        """Whoever has waited long enough is refused."""
        self.book.tire(at)

    def end(self, which: int, how: str, at: float) -> Ended:
        """One attempt ends: `signed`, `unknown` or `refused` by the authority."""
        units = self.under_way.pop(which)
        block = units.allowance
        if how == "refused":
            self.book.give_back(units, at)
            return Ended(block.epoch, units.count if block.closed else 0, 0)  # a closed block counted it as applied
        if how == "unknown":
            self.unknown(self.book, units, at)
            return Ended(block.epoch, units.count, units.count)
        first, total = self.book.apply(units, at)
        event = SignatureApplied(
            certificate_id=block.certificate_id,
            epoch=block.epoch,
            client_service_id=block.client_service_id,
            allowance_id=block.id,
            first=first,
            count=units.count,
            total=total,
            outcome="applied",
        )
        return Ended(block.epoch, units.count, units.count, event)

    def close(self) -> None:
        """SIGTERM."""
        self.closed = True
        self.book.close()

    def crash(self) -> list[Ended]:
        """SIGKILL; what was under way at the authority may have been signed."""
        lost = [Ended(units.allowance.epoch, units.count, units.count) for units in self.under_way]
        self.under_way, self.refusals, self.waiting = [], [], 0
        self.call, self.reply, self.closed, self.draining = None, None, False, False
        self.__post_init__()
        return lost

    def copied(self) -> "Gateway":
        """A second one in the very same state."""
        return copy.deepcopy(self)


def news(gateway: Gateway, grant: AccessGrant | None) -> None:
    """The gateway hears the newest telling of the grant."""
    if grant is not None:
        gateway.spendable = grant.epoch if grant.state != "expired" else 0
        gateway.draining = grant.draining


def expiries(told: Sequence[AccessGrant]) -> list[Expiry]:
    """Every expiry told, in order."""
    return [grant.last_expired for grant in told if grant.cause == "expired" and grant.last_expired]
