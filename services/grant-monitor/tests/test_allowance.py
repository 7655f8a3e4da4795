from datetime import UTC, datetime
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import Draining, Want, WouldExceed
from grant_monitor.allowance import UsageDiscrepancy, count, forfeit, hand_out, settle, size
from grant_monitor.ledger import Ledger

HOST_NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
BILLION = 1_000_000_000


def a_want(need=1, want=None):
    return Want(allowance_id=uuid4(), certificate_id=uuid4(), client_service_id=uuid4(), epoch=1, need=need, want=want or need)


def a_block(limit=1000, n=10):
    return hand_out(Ledger(limit), a_want(need=n), holder="gw-1", holders=1, host_now=HOST_NOW)


def test_far_from_the_limit_all_that_is_wanted_is_handed_out_for_ten_minutes():
    ledger, block = hand_out(Ledger(BILLION), a_want(1, 5000), holder="gw-1", holders=2, host_now=HOST_NOW)
    assert (block.n, block.valid_for_ms, block.near) == (5000, 600_000, False)
    assert ledger.reserved == 5000


def test_near_the_limit_a_block_is_small_and_good_for_fifteen_seconds():
    _, block = hand_out(Ledger(BILLION, settled=BILLION - 800), a_want(1, 5000), holder="gw-1", holders=4, host_now=HOST_NOW)
    assert (block.n, block.valid_for_ms, block.near) == (100, 15_000, True)


@pytest.mark.parametrize(("limit", "free", "near"), [(BILLION, 10_000_000, False), (BILLION, 9_999_999, True)])
def test_near_is_less_than_one_hundredth_of_a_large_limit(limit, free, near):
    assert Ledger(limit, settled=limit - free).near is near


@pytest.mark.parametrize(("free", "near"), [(10_000, False), (9_999, True)])
def test_near_is_less_than_ten_thousand_of_a_small_limit(free, near):
    assert Ledger(100_000, settled=100_000 - free).near is near


def test_more_than_is_left_for_good_would_exceed_and_says_what_is_left():
    answer = hand_out(Ledger(10, settled=4, forfeited=1, reserved=2), a_want(6), holder="g", holders=1, host_now=HOST_NOW)
    assert isinstance(answer, WouldExceed)
    assert answer.left == 5


def test_what_is_in_somebody_elses_hand_is_draining():
    answer = hand_out(Ledger(10, settled=4, reserved=6), a_want(1), holder="g", holders=1, host_now=HOST_NOW)
    assert isinstance(answer, Draining)
    assert answer.retry_after_ms >= 100


@given(st.integers(1, 10**9), st.integers(1, 10**6), st.integers(1, 10**8), st.integers(1, 50), st.data())
def test_a_block_serves_the_need_and_never_exceeds_what_is_free(limit, need, want, holders, data):
    ledger = Ledger(limit, settled=data.draw(st.integers(0, limit)))
    if need > ledger.free:
        return
    n = size(ledger, need, max(need, want), holders)
    assert need <= n <= min(ledger.free, max(need, want))


def test_a_repeated_or_older_total_counts_nothing():
    ledger, block = a_block()
    ledger, block = count(ledger, block, 6)
    assert (ledger.used, block.applied) == (6, 6)
    assert count(ledger, block, 6) == (ledger, block)
    assert count(ledger, block, 2) == (ledger, block)


def test_a_total_larger_than_the_block_is_a_discrepancy():
    with pytest.raises(UsageDiscrepancy, match="11 is told of a block of 10"):
        count(*a_block(), 11)


def test_a_block_applied_in_full_is_settled_by_its_count():
    ledger, block = count(*a_block(limit=10), 10)
    assert block.state == "settled"
    assert ledger.used_up


def test_a_settlement_gives_back_what_was_not_applied():
    ledger, block = settle(*a_block(), 4)
    assert (ledger.settled, ledger.reserved, ledger.free, block.state) == (4, 0, 996, "settled")


def test_a_settlement_below_what_events_told_settles_what_they_told():
    ledger, _ = settle(*count(*a_block(), 7), 4)
    assert ledger.used == 7


def test_settling_twice_changes_nothing():
    once = settle(*a_block(), 4)
    assert settle(*once, 4) == once
    assert settle(*once, 1) == once


def test_more_than_was_settled_is_a_discrepancy():
    with pytest.raises(UsageDiscrepancy, match="settled at 4"):
        count(*settle(*a_block(), 4), 5)


def test_a_forfeited_block_is_charged_in_full():
    ledger, block = forfeit(*count(*a_block(), 3))
    assert (ledger.settled, ledger.forfeited, ledger.reserved, ledger.counted) == (3, 7, 0, 0)
    assert forfeit(ledger, block) == (ledger, block)


def test_a_late_total_moves_units_from_forfeited_to_settled_and_refunds_none():
    ledger, block = count(*forfeit(*a_block()), 8)
    assert (ledger.settled, ledger.forfeited, ledger.left) == (8, 2, 990)
    assert settle(ledger, block, 9)[0] == ledger._replace(settled=9, forfeited=1)
