"""The judge itself: it finds nothing in an honest run, and each falsified fact is found as what it is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.promise.ground import told
from tests.promise.invariants import Block, Facts, violations

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def made(*numbers):
    return tuple((f"hash {n}", f"signature {n}") for n in numbers)


HONEST = Facts(
    certificate_id="c",
    epoch=1,
    limit=4,
    settled=3,
    forfeited=1,
    reserved=0,
    state="expired",
    expired_reason="usage",
    expires_at=NOW + timedelta(days=60),
    now=NOW,
    blocks={"a": Block(2, 2, "settled"), "b": Block(2, 1, "forfeited")},
    journal=made(1, 2, 3),
    received=made(1, 2),
    told={"a": 2, "b": 1},
    told_applied={("a", 0): 1, ("a", 1): 1, ("b", 0): 1},
)


def test_an_honest_run_breaks_nothing():
    assert violations(HONEST) == []
    whole = {"a": Block(2, 2, "settled"), "b": Block(2, 2, "settled")}
    assert violations(replace(HONEST, settled=4, forfeited=0, blocks=whole, exact=True, unknown=1)) == []


def test_an_epoch_that_was_left_has_reached_no_limit_and_may_have_blocks_in_hand():
    left = replace(HONEST, settled=2, forfeited=0, reserved=1, state="active", expired_reason=None, lasting=False)
    left = replace(left, blocks={"a": Block(2, 2, "settled"), "b": Block(1, 0, "open")}, journal=made(1, 2), told={"a": 2})
    assert violations(left) == []
    assert {each.promise for each in violations(replace(left, journal=made(1, 2, 3, 4)))} == {"what is made is charged"}


FALSIFIED = {
    "never more than the limit": {"journal": made(1, 2, 3, 4, 5)},
    "the ledger keeps the limit": {"forfeited": 2},
    "what is made is charged": {"journal": made(1, 2, 3, 4), "forfeited": 0},
    "what is received was made": {"received": made(1, 9)},
    "what is received was told": {"told": {"a": 1}},
    "what is received has its own event": {"told_applied": {("a", 1): 1}},
    "what is received is counted": {"received": made(1, 2, 3), "blocks": {"a": Block(2, 2, "settled")}},
    "what is told is counted": {"told": {"a": 2, "b": 2}},
    "the count is the sum of the greatest totals": {"settled": 2, "forfeited": 2},
    "everything comes back": {"reserved": 1, "forfeited": 0},
    "demand that lasts reaches the limit": {"forfeited": 0},
    "no false expiry": {"expired_reason": "time"},
    "without a crash exactly the limit is used": {"exact": True},
    "without a crash each unit used is a signature": {"exact": True, "journal": made(1, 2)},
    "a retry is answered as the first time": {"repeats": (("key", "another signature"),)},
}


@pytest.mark.parametrize("promise", FALSIFIED)
def test_a_falsified_fact_is_found(promise):
    found = violations(replace(HONEST, **FALSIFIED[promise]))
    assert promise in {each.promise for each in found}
    assert all(each.evidence.startswith("certificate c, epoch 1: ") for each in found)


@pytest.mark.parametrize(
    "change",
    [{"expired_reason": "usage", "forfeited": 0}, {"expired_reason": "usage", "reserved": 1}, {"expired_reason": "revoked"}],
)
def test_every_false_expiry_is_found(change):
    assert "no false expiry" in {each.promise for each in violations(replace(HONEST, **change))}


def event(allowance, first, count, outcome="applied"):
    where = {"certificate_id": "c", "epoch": 1, "allowance_id": allowance}
    return {**where, "first": first, "count": count, "total": first + count, "outcome": outcome}


def test_a_greater_total_does_not_hide_that_an_event_of_what_was_received_is_missing():
    events = [event("a", 1, 1), event("a", 1, 1), event("b", 0, 1, "unknown")]
    heard = told(events)["c", 1]
    facts = replace(HONEST, told=heard.totals, told_applied=heard.applied, unknown=heard.unknown)
    assert (facts.told, facts.unknown) == (HONEST.told, 1)
    assert [each.promise for each in violations(facts)] == ["what is received has its own event"]
    heard = told([event("a", 0, 1), *events])["c", 1]
    assert violations(replace(facts, told_applied=heard.applied)) == []


def test_a_signature_received_more_often_than_it_was_made_is_found():
    found = violations(replace(HONEST, received=made(1, 1)))
    assert [each.promise for each in found] == ["what is received was made"]
