"""The books of some certificates' grants: read at opening, decided in memory, written at closing. Pure.

Whoever holds them has locked the certificates they are of, so each method decides on what is so, and the order of calls is
the order of events. Storage opens and closes them; routes, consumers and the patrol write in them.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

from contracts import (
    AccessGrant,
    Answer,
    CaAccessGranted,
    CaAccessWithdrawn,
    Expired,
    Expiry,
    SignatureApplied,
    StaleEpoch,
    Unknown,
    Want,
)
from grant_monitor.allowance import SWEPT_AFTER, Allowance, UsageDiscrepancy, count, forfeit, hand_out, settle
from grant_monitor.grant import BEFORE_ALL, Cause, Epoch, Grant, plausible
from grant_monitor.ledger import Ledger
from grant_monitor.warning import NoticeCalendar

EpochKey = tuple[UUID, int]
DEFAULT_CALENDAR = NoticeCalendar()
UsageDay = tuple[UUID, UUID, date]  # client service, certificate, local date


class EpochNotOpened(Exception):
    """Access of an epoch is withdrawn that was never opened here: its opening was lost or could not be read."""


@dataclass
class Books:
    """Grants by certificate, epochs, allowances by id, and what was decided about them at `now`."""

    now: datetime
    host_now: datetime  # the host's unmoved time, for the validity of allowances
    grants: dict[UUID, Grant] = field(default_factory=dict)
    epochs: dict[EpochKey, Epoch] = field(default_factory=dict)
    allowances: dict[UUID, Allowance] = field(default_factory=dict)
    calendars: dict[UUID, NoticeCalendar] = field(default_factory=dict)
    open_blocks: dict[EpochKey, Counter[str]] = field(default_factory=dict)  # holder → its open blocks
    used: Counter[UsageDay] = field(default_factory=Counter)  # signatures to add
    told: list[AccessGrant] = field(default_factory=list)  # to tell, in order

    def calendar(self, certificate_id: UUID) -> NoticeCalendar:
        """The days of the account whose certificate it is; the default's until the account is known."""
        return self.calendars.get(certificate_id, DEFAULT_CALENDAR)

    def current(self, certificate_id: UUID) -> Epoch:
        """The epoch the certificate's grant is at."""
        return self.epochs[certificate_id, self.grants[certificate_id].epoch]

    def open(self, granted: CaAccessGranted) -> None:
        """The epoch that the connector assigned begins; one that is not newer than the current is old news.

        One granted after the current had ended found it expired, whoever was down at the time; else it supersedes it.
        """
        certificate_id = granted.certificate_id
        grant = self.grants.get(certificate_id)
        if grant is not None:
            if granted.epoch <= grant.epoch:
                return
            old = self.current(certificate_id)
            if (ended := old.due_expiry(granted.granted_at)) is not None:
                self._expire(old, ended)
            elif old.active:
                self._tell("superseded", old._replace(state="superseded"))
        before = self.grants.get(certificate_id) or Grant(certificate_id, granted.epoch)
        self.grants[certificate_id] = before._replace(epoch=granted.epoch)
        self._tell("opened", Epoch.of(granted))
        self.review(certificate_id)

    def withdraw(self, withdrawn: CaAccessWithdrawn) -> None:
        """The current epoch expires as revoked, unless its time is over; of any other it changes nothing.

        Raises EpochNotOpened for an epoch newer than the current.
        """
        grant = self.grants.get(withdrawn.certificate_id)
        if grant is None or withdrawn.epoch > grant.epoch:
            raise EpochNotOpened(f"epoch {withdrawn.epoch} of this certificate was never opened here")
        self.review(withdrawn.certificate_id)
        epoch = self.current(withdrawn.certificate_id)
        if withdrawn.epoch == epoch.number and epoch.active:
            self._expire(epoch, Expiry(epoch=epoch.number, reason="revoked", at=withdrawn.withdrawn_at))

    def review(self, certificate_id: UUID) -> None:
        """What is due now happens: the expiry, else the warnings owed. Done once, it is not due again."""
        epoch = self.current(certificate_id)
        if (expiry := epoch.due_expiry(self.now)) is not None:
            self._expire(epoch, expiry)
        elif (warned := epoch.warning_due(self.now, self.calendar(certificate_id))) is not None:
            self._tell("warned", epoch._replace(warned=warned))

    def answer(self, want: Want, holder: str) -> Answer:
        """What a gateway that wants a block is told. Asked again while the block is open, the answer is the same."""
        known = self.allowances.get(want.allowance_id)
        if known is not None:
            same = known.state == "open" and known.is_for(want, holder)
            return known.granted() if same else Unknown(allowance_id=want.allowance_id)
        if want.certificate_id not in self.grants:
            return Unknown(allowance_id=want.allowance_id)
        self.review(want.certificate_id)
        epoch = self.current(want.certificate_id)
        if want.epoch != epoch.number:
            return StaleEpoch(allowance_id=want.allowance_id, epoch=epoch.number)
        if not epoch.active:
            return Expired(allowance_id=want.allowance_id)
        blocks = self.open_blocks.setdefault((want.certificate_id, want.epoch), Counter())
        holders = len({*(+blocks), holder})
        outcome = hand_out(epoch.ledger, want, holder=holder, holders=holders, host_now=self.host_now)
        if not isinstance(outcome, tuple):
            return outcome
        ledger, allowance = outcome
        self._book(ledger, allowance)
        blocks[holder] += 1
        return allowance.granted()

    def settle(self, allowance_id: UUID, applied: int, holder: str) -> None:
        """The holder gives its block back. What was never handed out needs no settling.

        Raises UsageDiscrepancy for another's block, for more than it held (then all of it is charged), or for
        signatures on a block that was never handed out.
        """
        allowance = self.allowances.get(allowance_id)
        if allowance is None:
            if applied:
                raise UsageDiscrepancy("signatures are settled of a block that was never handed out")
            return
        if allowance.holder != holder:
            raise UsageDiscrepancy("a block of another holder is settled")
        self._close(allowance, *settle(self._ledger(allowance), allowance, min(applied, allowance.n)), at=self.now)
        if applied > allowance.n:
            raise UsageDiscrepancy(f"{applied} are settled of a block of {allowance.n}")

    def count(self, event: SignatureApplied, at: datetime) -> None:
        """Signatures are counted to the epoch stamped in the event and to the service's local day of `at`.

        Raises UsageDiscrepancy, and counts nothing, where the event does not fit the block it names.
        """
        allowance = self.allowances.get(event.allowance_id)
        if allowance is None:
            raise UsageDiscrepancy("signatures are told of a block that was never handed out")
        told = (event.certificate_id, event.epoch, event.client_service_id)
        if told != (allowance.certificate_id, allowance.epoch, allowance.client_service_id):
            raise UsageDiscrepancy("the certificate, epoch or client service told is not the block's")
        if not plausible(at):
            raise UsageDiscrepancy("the instant told cannot be")
        self._close(allowance, *count(self._ledger(allowance), allowance, event.total), at=at)

    def sweep(self) -> None:
        """Every open block past its validity is forfeited."""
        for allowance in list(self.allowances.values()):
            if allowance.state == "open" and allowance.not_after + SWEPT_AFTER < self.host_now:
                self._close(allowance, *forfeit(self._ledger(allowance), allowance), at=self.now)

    def _ledger(self, allowance: Allowance) -> Ledger:
        return self.epochs[allowance.certificate_id, allowance.epoch].ledger

    def _close(self, before: Allowance, ledger: Ledger, after: Allowance, *, at: datetime) -> None:
        """Books a changed block: the service's day, the holder's open blocks, and what that makes due."""
        if after == before:
            return
        self._book(ledger, after)
        if more := after.applied - before.applied:
            day = self.calendar(after.certificate_id).date(at)
            self.used[after.client_service_id, after.certificate_id, day] += more
        if before.state == "open" != after.state and (blocks := self.open_blocks.get((after.certificate_id, after.epoch))):
            blocks[after.holder] -= 1
        self.review(after.certificate_id)

    def _book(self, ledger: Ledger, allowance: Allowance) -> None:
        key = allowance.certificate_id, allowance.epoch
        before = self.epochs[key]
        self.epochs[key] = before._replace(ledger=ledger)
        self.allowances[allowance.allowance_id] = allowance
        grant = self.grants[allowance.certificate_id]
        if grant.epoch != allowance.epoch:
            return
        if ledger.draining and not before.ledger.draining:  # gateways that hold idle blocks give them back when they hear of it
            self.grants[grant.certificate_id] = grant._replace(to_tell=True, told_at=BEFORE_ALL)
        elif not grant.to_tell and _shown(ledger) != _shown(before.ledger):
            self.grants[grant.certificate_id] = grant._replace(to_tell=True)

    def _expire(self, epoch: Epoch, expiry: Expiry) -> None:
        self.grants[epoch.certificate_id] = self.grants[epoch.certificate_id].with_expired(expiry)
        self._tell("expired", epoch._replace(state="expired", expired_reason=expiry.reason))

    def _tell(self, cause: Cause, epoch: Epoch) -> None:
        """The changed epoch is kept, and told under the next version."""
        self.epochs[epoch.certificate_id, epoch.number] = epoch
        grant = self.grants[epoch.certificate_id]
        told = grant._replace(version=grant.version + 1, to_tell=False, told_at=self.host_now)
        self.grants[epoch.certificate_id] = told
        self.told.append(told.told(cause, epoch, self.calendar(epoch.certificate_id)))

    def tell_again(self, certificate_id: UUID) -> None:
        """The state as it is now, under a new version: what was counted since, or for whoever lost it."""
        epoch = self.current(certificate_id)
        self._tell("expired" if epoch.state == "expired" else "counted", epoch)

    def finish(self) -> None:
        """The last thing before closing: each next due instant is set."""
        for certificate_id, grant in self.grants.items():
            due = self.current(certificate_id).next_due(self.now, self.calendar(certificate_id))
            if due != grant.next_due_at:
                self.grants[certificate_id] = grant._replace(next_due_at=due)


def _shown(ledger: Ledger) -> tuple[int, int, bool]:
    return ledger.used, ledger.forfeited, ledger.draining
