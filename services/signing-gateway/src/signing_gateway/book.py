"""All purses of this process: what the next bulk call to the monitor says, and what its answers change. Pure as well."""

from collections.abc import Callable, Iterator
from typing import assert_never
from uuid import UUID, uuid4

from contracts.allowances import (
    AllowanceCall,
    AllowanceReply,
    Answer,
    Draining,
    Expired,
    Granted,
    Settlement,
    StaleEpoch,
    Unknown,
    WouldExceed,
)
from signing_gateway import refusals
from signing_gateway.allowances import LAST_SECONDS, USABLE_SHARE, Allowance, Asked, Need, Outcome, Purse, Units, Waiting

PATIENCE = 5.0  # a request waits this long for an allowance
LONGEST = 25.0  # and this long while our own calls hold units that may come back
AGAIN = 0.1  # between askings that granted nothing
MOST = 10_000  # settlements, and wants, in one call
SWEPT = 500  # certificates that a sweep looks at, besides those near their limit
SWEEPS = 8  # that see every certificate, where there are very many: others wait so long for idle units of a grant that drains

EpochOf = Callable[[UUID], int]
"""The epoch of a certificate that may be spent as far as is known here; 0 when none."""
GrantDrains = Callable[[UUID], bool]
"""Whether all that a certificate's grant has left is in somebody's hand, as far as is known here."""


def never_draining(_certificate_id: UUID) -> bool:
    """Nothing is known to drain."""
    return False


class Book:
    """The allowances, askings and waiting requests of one holder."""

    def __init__(self, holder: str, new_id: Callable[[], UUID] = uuid4, *, draining: GrantDrains = never_draining) -> None:
        self._holder = holder
        self._new_id = new_id
        self._draining = draining
        self._purses: dict[UUID, dict[UUID, Purse]] = {}
        self._asked: dict[UUID, Purse] = {}
        self._settling: dict[UUID, Settlement] = {}  # told, until the monitor has booked them
        self._pressing: set[UUID] = set()  # certificates to look at before the next sweep
        self._hurries = False  # whether one of them cannot wait for others to share its call
        self._near: set[UUID] = set()  # those where something is held near the limit, which others may wait for
        self._to_sweep: list[UUID] = []  # what the next sweeps look at
        self._closed = False

    @property
    def pressing(self) -> bool:
        """Whether something should be looked at soon.

        A block wanted ahead, or spent, far from the limit need not: a call costs the monitor more than what it says, so those
        that have come up by the next look share one.
        """
        return bool(self._hurries or self._asked)

    @property
    def open_allowances(self) -> int:
        """Allowances in hand."""
        return sum(len(purse.allowances) for purse in self._all())

    def take(self, need: Need, at: float) -> Units | None:
        """Units at once, or None: then `wait`."""
        purse = self._purse(need)
        units = purse.take(need, at)
        if not units or purse.wants_more(need.epoch, at):
            self._pressing.add(need.certificate_id)
            self._hurries = self._hurries or not units or not purse.lasts(need.epoch, at)
        return units

    def wait(self, need: Need, at: float, done: Callable[[Outcome], None]) -> Waiting:
        """Puts a request behind those that wait. `done` is called once, by a later answer or by `tire`."""
        waiting = Waiting(need=need, since=at, patience=at + PATIENCE, done=done)
        if self._closed:
            done(refusals.MonitorAway())
            return waiting
        self._purse(need).waiting.append(waiting)
        self._pressing.add(need.certificate_id)
        self._hurries = True
        return waiting

    def withdraw(self, waiting: Waiting) -> None:
        """The request is gone; nobody waits any longer."""
        purse = self._purse(waiting.need)
        if waiting in purse.waiting:
            purse.waiting.remove(waiting)

    def apply(self, units: Units, at: float) -> tuple[int, int]:
        """The units are used, or nobody knows: `(first, total)` as `SignatureApplied` tells them."""
        numbers = units.apply()
        self._ended(units, at)
        return numbers

    def give_back(self, units: Units, at: float) -> None:
        """The units were certainly not used."""
        units.give_back()
        self._ended(units, at)

    def tire(self, at: float) -> None:
        """Refuses those who waited long enough. While our own calls hold units, who was told `draining` waits for them."""
        for certificate_id in self._pressing:
            purses = self._purses.get(certificate_id, {}).values()
            held = any(a.under_way for purse in purses for a in purse.allowances)
            for purse in purses:
                for waiting in list(purse.waiting):
                    if held and waiting.draining:
                        waiting.patience = min(at + PATIENCE, waiting.since + LONGEST)
                    if at >= waiting.patience:
                        purse.waiting.remove(waiting)
                        waiting.done(refusals.Draining() if waiting.draining else refusals.MonitorAway())

    def next_call(self, at: float, epoch_of: EpochOf, *, sweep: bool = False) -> AllowanceCall | None:
        """What to say to the monitor now, or None. A call that got no answer is simply said again: the ids are the same.

        `sweep` looks for allowances that nobody asks to have settled.
        """
        looked_at = self._looked_at(sweep=sweep)
        self._pressing = {certificate_id for certificate_id in looked_at if self._look(certificate_id, epoch_of, at)}
        self._hurries = bool(self._pressing)
        for purse in list(self._asked.values())[:MOST]:
            if purse.asked:
                purse.asked.repeated = purse.asked.first_sent is not None
                purse.asked.first_sent = at if purse.asked.first_sent is None else purse.asked.first_sent
        settle = list(self._settling.values())[:MOST]
        want = [purse.asked.want for purse in list(self._asked.values())[:MOST] if purse.asked]
        return AllowanceCall(holder=self._holder, settle=settle, want=want) if settle or want else None

    def answered(self, call: AllowanceCall, reply: AllowanceReply, at: float) -> list[Answer]:
        """Books the answers to `call`; answers those that granted nothing."""
        for settlement in call.settle:
            self._settling.pop(settlement.allowance_id, None)
        denied: list[Answer] = []
        for answer in reply.answers:
            purse = self._asked.pop(answer.allowance_id, None)
            if purse is None or purse.asked is None:
                continue
            asked, purse.asked = purse.asked, None
            self._pressing.add(purse.certificate_id)
            self._hurries = True
            _heard(purse, asked, answer, at)
            if purse.near:
                self._near.add(purse.certificate_id)
            if not isinstance(answer, Granted):
                denied.append(answer)
        return denied

    def close(self) -> None:
        """From now on everything goes back, calls under way as applied, and nobody gets anything."""
        self._closed = True
        for purse in self._all():
            for waiting in list(purse.waiting):
                waiting.done(refusals.MonitorAway())
            purse.waiting.clear()

    def _looked_at(self, *, sweep: bool) -> set[UUID]:
        """The certificates to look at now. Very many are swept in turn: looking at all would hold up whoever signs meanwhile."""
        if self._closed:
            return set(self._purses)
        if not sweep:
            return self._pressing
        if not self._to_sweep:
            self._to_sweep = list(self._purses)
        share = max(SWEPT, len(self._purses) // SWEEPS)
        swept, self._to_sweep = self._to_sweep[:share], self._to_sweep[share:]
        return self._pressing.union(self._near, swept)

    def _look(self, certificate_id: UUID, epoch_of: EpochOf, at: float) -> bool:
        """Closes what should go back and asks for what is needed; answers whether somebody waits."""
        purses = self._purses.get(certificate_id, {})
        epoch, draining = epoch_of(certificate_id), self._draining(certificate_id)
        for purse in list(purses.values()):
            need = purse.waiting[0].need.count if purse.waiting else 0
            for allowance in purse.allowances:
                if self._closed or allowance.spare(at, epoch, need, draining=draining):
                    self._settling[allowance.id] = allowance.settlement()
            purse.allowances = [a for a in purse.allowances if not a.closed]
            if not self._closed and purse.wants_more(epoch, at):
                purse.asked = Asked(purse.want(self._new_id(), epoch, at))
                self._asked[purse.asked.want.allowance_id] = purse
            if purse.idle(at):
                del purses[purse.client_service_id]
        if not purses:
            self._purses.pop(certificate_id, None)
        if not any(purse.near for purse in purses.values()):
            self._near.discard(certificate_id)
        return any(purse.waiting for purse in purses.values())

    def _ended(self, units: Units, at: float) -> None:
        """Units came to their end: those who wait may have them, or now hear more than `draining`."""
        allowance = units.allowance
        purses = self._purses.get(allowance.certificate_id, {})
        if (purse := purses.get(allowance.client_service_id)) and purse.waiting:
            purse.serve(at)
        awaited = False
        for purse in purses.values():
            purse.not_before = 0.0
            awaited = awaited or bool(purse.waiting)
        if (awaited or allowance.left == 0) and not allowance.closed:
            self._pressing.add(allowance.certificate_id)
            self._hurries = self._hurries or awaited or allowance.near or self._draining(allowance.certificate_id)

    def _purse(self, need: Need) -> Purse:
        purses = self._purses.get(need.certificate_id)
        if purses is None:
            purses = self._purses[need.certificate_id] = {}
        purse = purses.get(need.client_service_id)
        if purse is None:
            purse = purses[need.client_service_id] = Purse(need.certificate_id, need.client_service_id)
        return purse

    def _all(self) -> Iterator[Purse]:
        return (purse for purses in self._purses.values() for purse in purses.values())


def _heard(purse: Purse, asked: Asked, answer: Answer, at: float) -> None:
    """One answer changes one purse. `left` only ever falls within an epoch, so a `would-exceed` is final for who needs more."""
    epoch = asked.want.epoch
    match answer:
        case Granted():
            usable = USABLE_SHARE * answer.valid_for_ms / 1000
            deadline = (asked.first_sent or 0.0) + usable
            purse.near = answer.near
            purse.allowances.append(
                Allowance(
                    id=answer.allowance_id,
                    certificate_id=purse.certificate_id,
                    client_service_id=purse.client_service_id,
                    epoch=epoch,
                    n=answer.n,
                    deadline=deadline,
                    usable_until=deadline - min(LAST_SECONDS, usable / 3),
                    near=answer.near,
                    used_at=at,
                )
            )
            purse.serve(at)
        case WouldExceed():
            left = answer.left
            purse.not_before = at + AGAIN
            purse.refuse(
                epoch,
                lambda: refusals.WouldExceedLimit(left) if left else refusals.LimitExceeded(),
                needing_over=left,
            )
        case Draining():
            purse.not_before = at + answer.retry_after_ms / 1000
            for waiting in purse.waiting:
                waiting.draining = True
        case Expired():
            purse.refuse(epoch, refusals.GrantExpired)
        case StaleEpoch():
            purse.not_before = at + AGAIN
            purse.refuse(epoch, refusals.EpochMoved)
        case Unknown():
            purse.not_before = at + AGAIN
            if not asked.repeated:  # else its block was there and was closed meanwhile: those who wait ask for another
                purse.refuse(epoch, refusals.GrantNotKnown)
        case _:
            assert_never(answer)
