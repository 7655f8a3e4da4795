"""The one judge of a run: what the authority made, what clients received, what the topic tells and what the database holds.

Pure: `Facts` of one grant epoch in, the promises that it breaks out. The authority's journal is the ground truth: a line is on
its disk before its answer leaves.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

Made = tuple[str, str]
"""A hash and its signature, base64 both."""


@dataclass(frozen=True)
class Block:
    """One allowance as the monitor's database has it."""

    n: int
    applied: int
    state: str


@dataclass(frozen=True)
class Facts:
    """What is known of one epoch of one certificate's grant once all has come to rest."""

    certificate_id: str
    epoch: int
    limit: int
    settled: int
    forfeited: int
    reserved: int
    state: str
    expired_reason: str | None
    expires_at: datetime
    now: datetime
    blocks: Mapping[str, Block]
    journal: tuple[Made, ...]
    received: tuple[Made, ...]
    told: Mapping[str, int]  # the greatest total that the topic tells of each allowance
    told_applied: Mapping[tuple[str, int], int]  # count of each event of what was applied, by its allowance and first number
    unknown: int = 0  # units that the topic tells of as perhaps signed
    lasting: bool = True  # clients went on asking until all of the limit was gone; else the epoch was left, or ended by time
    exact: bool = False  # nothing happened that may cost units: exactly the limit has to be used
    repeats: Iterable[tuple[str, str]] = field(default=())  # keys whose retry was answered otherwise than the first time


@dataclass(frozen=True)
class Violation:
    """A promise that was broken, with the evidence."""

    promise: str
    evidence: str


def violations(facts: Facts) -> list[Violation]:
    """Every promise that these facts break."""
    where = f"certificate {facts.certificate_id}, epoch {facts.epoch}: "
    return [Violation(promise, where + evidence) for promise, broken, evidence in _judged(facts) if broken]


def _judged(facts: Facts) -> Iterable[tuple[str, bool, str]]:
    gone, charged = facts.settled + facts.forfeited, facts.settled + facts.forfeited + facts.reserved
    made, received = len(facts.journal), len(facts.received)
    applied, told = sum(block.applied for block in facts.blocks.values()), sum(facts.told.values())
    strangers, uncounted, false = Counter(facts.received) - Counter(facts.journal), _uncounted(facts), _false_expiry(facts)
    yield "never more than the limit", made > facts.limit, f"{made} signatures were made, the limit is {facts.limit}"
    yield "the ledger keeps the limit", charged > facts.limit, f"{charged} are charged of {facts.limit}"
    yield "what is made is charged", made > charged, f"{made} signatures were made, {charged} are charged"
    yield "what is received was made", bool(strangers), f"the authority did not make, or not so often: {sorted(strangers)[:3]}"
    yield "what is received was told", received > told, f"{received} signatures were received, the topic tells of {told}"
    own = sum(facts.told_applied.values())
    yield "what is received has its own event", received > own, f"{received} signatures were received, {own} have their own event"
    yield "what is received is counted", received > applied, f"{received} signatures were received, {applied} are counted"
    yield "what is told is counted", bool(uncounted), uncounted
    uneven = facts.settled != applied and not facts.reserved
    yield "the count is the sum of the greatest totals", uneven, f"{facts.settled} are settled, the blocks add up to {applied}"
    yield "everything comes back", facts.lasting and facts.reserved > 0, f"{facts.reserved} are still in hand"
    yield (
        "demand that lasts reaches the limit",
        facts.lasting and gone != facts.limit,
        f"{gone} of {facts.limit} are gone for good",
    )
    yield "no false expiry", bool(false), false
    inexact = facts.exact and (facts.forfeited > 0 or facts.settled != facts.limit)
    lost = f"{facts.settled} of {facts.limit} are used, {facts.forfeited} forfeited"
    yield "without a crash exactly the limit is used", inexact, lost
    unmade = facts.exact and made + facts.unknown < facts.settled
    less = f"{made} signatures were made, {facts.unknown} perhaps, and {facts.settled} are counted as used"
    yield "without a crash each unit used is a signature", unmade, less
    others = ", ".join(f"{key}: {how}" for key, how in facts.repeats)
    yield "a retry is answered as the first time", bool(others), others


def _uncounted(facts: Facts) -> str:
    counted = {allowance: block.applied for allowance, block in facts.blocks.items()}
    short = [
        f"{each}: told {total}, counted {counted.get(each)}"
        for each, total in facts.told.items()
        if counted.get(each, -1) < total
    ]
    return "; ".join(short[:5])


def _false_expiry(facts: Facts) -> str:
    gone = facts.settled + facts.forfeited
    if facts.expired_reason == "usage" and (facts.reserved or gone != facts.limit):
        return f"expired by usage with {gone} of {facts.limit} gone and {facts.reserved} in hand"
    if facts.expired_reason == "time" and facts.now < facts.expires_at:
        return f"expired by time at {facts.now}, before {facts.expires_at}"
    return "expired as revoked, and nobody revoked it" if facts.expired_reason == "revoked" else ""
