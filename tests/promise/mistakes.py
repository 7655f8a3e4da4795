"""Mistakes that somebody could make in the product, each put into its own functions for a while: an exploration finds it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from pytest import MonkeyPatch  # noqa: PT013 - not in a test
from tests.promise.both_sides import applied_on_paper
from tests.promise.exploring import Explorer, Found, Size
from tests.promise.reaching import Reaching

import grant_monitor.allowance
import grant_monitor.books
import signing_gateway.allowances
from contracts import SignatureApplied
from contracts.allowances import Settlement
from grant_monitor.books import Books
from grant_monitor.ledger import Ledger
from signing_gateway.allowances import Asked
from signing_gateway.book import Book

Change = tuple[object, str, Any]  # whose, which name, what instead


@dataclass(frozen=True)
class Mistake:
    """What is changed, and the smallest kind of world that shows it."""

    changes: tuple[Change, ...] = ()
    size: Size = field(default_factory=Size)
    world: type[Explorer] = Explorer
    unknown: Callable[..., object] = applied_on_paper

    def explored(self) -> Found:
        """What an exploration finds with the mistake made."""
        with _made(self.changes):
            explorer = self.world(self.size) if self.world is Reaching else Explorer(self.size, self.unknown)
            return explorer.explore()


@contextmanager
def _made(changes: tuple[Change, ...]) -> Iterator[None]:
    with MonkeyPatch.context() as patch:
        for whose, name, instead in changes:
            patch.setattr(whose, name, instead)
        yield


def _forfeit_with_refund(ledger: Any, allowance: Any) -> Any:
    if allowance.state != "open":
        return ledger, allowance
    return ledger.close(allowance.n, allowance.applied, settled=allowance.applied), allowance._replace(state="forfeited")


def _settle_late_with_refund(ledger: Any, allowance: Any, applied: int) -> Any:
    if allowance.state != "forfeited":
        return grant_monitor.allowance.settle(ledger, allowance, applied)
    total = max(applied, allowance.applied)
    lost = allowance.n - allowance.applied
    after = ledger._replace(settled=ledger.settled + total - allowance.applied, forfeited=ledger.forfeited - lost)
    return after, allowance._replace(applied=total, state="settled")


def _settle_again(ledger: Any, allowance: Any, applied: int) -> Any:
    return grant_monitor.allowance.settle(ledger, allowance._replace(state="open"), applied)


def _count_one_more(ledger: Any, allowance: Any, _total: int) -> Any:
    if allowance.state != "open" or allowance.applied == allowance.n:
        return ledger, allowance
    return ledger.apply(1), allowance._replace(applied=allowance.applied + 1)


def _answer_with_another_block(books: Books, want: Any, holder: str) -> Any:
    books.allowances.pop(want.allowance_id, None)
    return ANSWER(books, want, holder)


def _count_to_the_present_epoch(books: Books, event: SignatureApplied, at: Any) -> None:
    epoch = books.grants[event.certificate_id].epoch
    if (block := books.allowances.get(event.allowance_id)) is not None:
        books.allowances[event.allowance_id] = block._replace(epoch=epoch)
        COUNT(books, event.model_copy(update={"epoch": epoch}), at)


def _settle_without_what_is_under_way(block: Any) -> Settlement:
    block.closed = True
    return Settlement(allowance_id=block.id, applied=block.applied)


def _never_idle(block: Any, at: float, epoch: int, need: int, *, draining: bool = False) -> bool:
    return SPARE(block, block.used_at, epoch, need) or (at >= block.usable_until and not block.near)


def _told_once(book: Book, *args: Any, **settings: Any) -> Any:
    call = NEXT_CALL(book, *args, **settings)
    book._settling.clear()
    return call


def _asked_under_another_id(book: Book, at: float, *args: Any, **settings: Any) -> Any:
    for purse in list(book._asked.values()):
        if purse.asked and purse.asked.first_sent is not None:
            del book._asked[purse.asked.want.allowance_id]
            purse.asked = Asked(purse.want(book._new_id(), purse.asked.want.epoch, at))
            book._asked[purse.asked.want.allowance_id] = purse
    return NEXT_CALL(book, at, *args, **settings)


ANSWER, COUNT, NEXT_CALL, SPARE = Books.answer, Books.count, Book.next_call, signing_gateway.allowances.Allowance.spare
BLOCK = signing_gateway.allowances.Allowance
SHARED, SMALL = Size(1, (1, 1)), Size(2, (2,))

MISTAKES: Mapping[str, Mistake] = {
    "a time-out gives the units back": Mistake(size=SMALL, unknown=Book.give_back),
    "a patrol gives back what nobody told of": Mistake(((grant_monitor.books, "forfeit", _forfeit_with_refund),), SMALL),
    "a late settlement gives back": Mistake(((grant_monitor.books, "settle", _settle_late_with_refund),), SMALL),
    "a grant expires of what is in hand": Mistake(((Ledger, "used_up", property(lambda ledger: ledger.free == 0)),), SMALL),
    "events are added up instead of the greatest taken": Mistake(
        ((grant_monitor.books, "count", _count_one_more),), Size(4, (1,), at_once=2)
    ),
    "a repeated asking gets another block": Mistake(((Books, "answer", _answer_with_another_block),), SMALL),
    "a block is settled as often as it is told": Mistake(((grant_monitor.books, "settle", _settle_again),), SMALL),
    "events count to the present epoch": Mistake(((Books, "count", _count_to_the_present_epoch),), Size(1, (1,), epochs=2)),
    "units under way may be taken again": Mistake(
        ((BLOCK, "left", property(lambda block: block.n - block.applied)),), Size(1, (1,), at_once=2)
    ),
    "what is under way at the end is not charged": Mistake(
        ((BLOCK, "settlement", _settle_without_what_is_under_way),), Size(1, (2,))
    ),
    "an idle block is kept": Mistake(((BLOCK, "spare", _never_idle),), Size(1, (0, 0)), Reaching),
    "a settlement is told once": Mistake(((Book, "next_call", _told_once),), Size(1, (0,)), Reaching),
    "a lost answer is asked for under another id": Mistake(
        ((Book, "next_call", _asked_under_another_id),), Size(1, (0,)), Reaching
    ),
}
