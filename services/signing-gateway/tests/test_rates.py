from itertools import accumulate
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signing_gateway.rates import WINDOW_S, Rates
from signing_gateway.refusals import RateExceeded

ONE, OTHER = uuid4(), uuid4()


def told(headers):
    return {name.decode(): value.decode() for name, value in headers}


def test_a_minutes_requests_may_come_at_once_and_then_one_when_it_has_refilled():
    rates = Rates(6)
    left = [told(rates.spend(ONE, 100.0))["ratelimit"] for _ in range(6)]
    assert left == [f'"client-service";r={5 - n};t={10 * (n + 1)}' for n in range(6)]
    with pytest.raises(RateExceeded) as refusal:
        rates.spend(ONE, 100.0)
    assert refusal.value.retry_after == 10
    assert told(refusal.value.headers) == {
        "ratelimit-policy": '"client-service";q=6;w=60',
        "ratelimit": '"client-service";r=0;t=60',
    }
    with pytest.raises(RateExceeded):
        rates.spend(ONE, 109.9)
    rates.spend(ONE, 110.0)
    rates.spend(OTHER, 100.0)


@given(st.integers(1, 1000), st.lists(st.floats(0, 30), max_size=200))
def test_no_minute_and_what_the_bucket_held_is_ever_exceeded(per_minute, pauses):
    rates, passed = Rates(per_minute), []
    for at in accumulate(pauses, initial=1e6):
        try:
            rates.spend(ONE, at)
        except RateExceeded as why:
            assert 1 <= why.retry_after <= WINDOW_S
            rates_later = at + why.retry_after
            assert sum(rates_later - WINDOW_S < each for each in passed) <= per_minute * 2
            continue
        passed.append(at)
        assert sum(at - WINDOW_S < each <= at for each in passed) <= per_minute * 2


@given(st.integers(1, 1000), st.floats(0, 3e7))
def test_whoever_waits_as_long_as_told_is_served(per_minute, at):
    rates = Rates(per_minute)
    for _ in range(per_minute):
        rates.spend(ONE, at)
    with pytest.raises(RateExceeded) as refusal:
        rates.spend(ONE, at)
    rates.spend(ONE, at + refusal.value.retry_after)


def test_looking_takes_nothing():
    rates = Rates(1)
    for _ in range(3):
        rates.look(ONE, 100.0)
    rates.spend(ONE, 100.0)
    with pytest.raises(RateExceeded):
        rates.look(ONE, 100.0)


def test_no_more_than_so_many_are_kept_and_who_spent_most_is_not_forgotten():
    rates = Rates(2, most=100)
    for _ in range(2):
        rates.spend("wild", 100.0)
    for stranger in range(1000):
        rates.spend(stranger, 100.0)
        assert len(rates._full_at) <= 100
    with pytest.raises(RateExceeded):
        rates.spend("wild", 100.0)
