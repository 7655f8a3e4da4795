"""Allowances: blocks of one epoch's signatures in a gateway's hand. How large, how long, and how they come back.

The protocol is in ARCHITECTURE.md, "The hard promise". A block is charged in full when it is handed out; a settlement gives
back what was not applied; one past its validity is forfeited and never given back, only told apart when a late total comes.
"""

from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from uuid import UUID

from contracts import Draining, Granted, Want, WouldExceed
from grant_monitor.ledger import Ledger

VALID_FAR = timedelta(minutes=10)  # of real time: a hundred thousand quiet certificates cost almost nothing
VALID_NEAR = timedelta(seconds=15)  # a crash near the limit ends in seconds
RETRY_AFTER_MS = 100
SWEPT_AFTER = timedelta(seconds=2)  # past its validity, for hosts whose clocks differ


class UsageDiscrepancy(Exception):
    """Somebody tells of signatures that this ledger cannot have handed out. Nothing is counted."""


class Allowance(NamedTuple):
    """One block, its fields in the order of the table's columns.

    `applied` is the greatest cumulative total heard of it; `not_after` is the host's unmoved time.
    """

    allowance_id: UUID
    certificate_id: UUID
    epoch: int
    client_service_id: UUID
    holder: str
    n: int
    valid_for_ms: int
    near: bool
    not_after: datetime
    applied: int = 0
    state: Literal["open", "settled", "forfeited"] = "open"

    def granted(self) -> Granted:
        """The answer to whoever asked for it, the same however often it is asked."""
        return Granted(allowance_id=self.allowance_id, n=self.n, valid_for_ms=self.valid_for_ms, near=self.near)

    def is_for(self, want: Want, holder: str) -> bool:
        """Whether this block is what `want` of `holder` was given."""
        mine = (self.certificate_id, self.epoch, self.client_service_id, self.holder)
        return mine == (want.certificate_id, want.epoch, want.client_service_id, holder)


def size(ledger: Ledger, need: int, want: int, holders: int) -> int:
    """Signatures to hand out: all that is wanted far from the limit, less and less near it, never fewer than `need`.

    `holders` are the gateways with an open block, the asking one included, so that none takes all that is left.
    """
    fair = max(1, ledger.free // (2 * holders))
    return max(need, min(want, fair))


def hand_out(
    ledger: Ledger, want: Want, *, holder: str, holders: int, host_now: datetime
) -> tuple[Ledger, Allowance] | WouldExceed | Draining:
    """A new block for `want`, or why there is none. Whether the limit is near is judged with the block taken."""
    if want.need > ledger.left:
        return WouldExceed(allowance_id=want.allowance_id, left=ledger.left)
    if want.need > ledger.free:
        return Draining(allowance_id=want.allowance_id, retry_after_ms=RETRY_AFTER_MS)
    n = size(ledger, want.need, want.want, holders)
    after = ledger.hand_out(n)
    valid_for = VALID_NEAR if after.near else VALID_FAR
    allowance = Allowance(
        allowance_id=want.allowance_id,
        certificate_id=want.certificate_id,
        epoch=want.epoch,
        client_service_id=want.client_service_id,
        holder=holder,
        n=n,
        valid_for_ms=round(valid_for.total_seconds() * 1000),
        near=after.near,
        not_after=host_now + valid_for,
    )
    return after, allowance


def count(ledger: Ledger, allowance: Allowance, total: int) -> tuple[Ledger, Allowance]:
    """An event told that `total` of the block are applied so far. The greatest total counts, so repeats change nothing.

    A block that is applied in full can give nothing back and is settled at once. Raises UsageDiscrepancy for a total that
    the block does not hold, or that exceeds what its holder settled.
    """
    if total > allowance.n:
        raise UsageDiscrepancy(f"a total of {total} is told of a block of {allowance.n}")
    more = total - allowance.applied
    if more <= 0:
        return ledger, allowance
    if allowance.state == "settled":
        raise UsageDiscrepancy(f"a total of {total} is told of a block settled at {allowance.applied}")
    if allowance.state == "forfeited":
        return ledger.redeem(more), allowance._replace(applied=total)
    if total == allowance.n:
        return settle(ledger, allowance, total)
    return ledger.apply(more), allowance._replace(applied=total)


def settle(ledger: Ledger, allowance: Allowance, applied: int) -> tuple[Ledger, Allowance]:
    """The holder gives the block back, `applied` of it used. Late or repeated, it refunds nothing.

    Raises UsageDiscrepancy as `count` does.
    """
    if allowance.state != "open" or applied > allowance.n:
        return count(ledger, allowance, applied)
    total = max(applied, allowance.applied)
    closed = ledger.close(allowance.n, allowance.applied, settled=total)
    return closed, allowance._replace(applied=total, state="settled")


def forfeit(ledger: Ledger, allowance: Allowance) -> tuple[Ledger, Allowance]:
    """The block's validity is over and nobody settled it: charged in full, what events told of it as used."""
    if allowance.state != "open":
        return ledger, allowance
    lost = allowance.n - allowance.applied
    closed = ledger.close(allowance.n, allowance.applied, settled=allowance.applied, forfeited=lost)
    return closed, allowance._replace(state="forfeited")
