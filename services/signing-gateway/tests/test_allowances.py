"""The book of allowances against a ledger that answers as the grant monitor does, with calls and answers lost at will."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.allowances import Unknown
from signing_gateway import refusals
from signing_gateway.allowances import AHEAD, Units
from signing_gateway.book import SWEPT, Book


@pytest.fixture
def world(a):
    return lambda limit, **settings: a.world(a.ledger(limit, **settings))


def test_twenty_requests_on_four_left_get_exactly_four(world):
    w = world(4)
    for _ in range(20):
        w.request(1)
    w.drain()
    assert (w.served, w.refused(refusals.LimitExceeded)) == (4, 16)
    assert w.ledger.settled == 4


def test_a_refused_attempt_lets_another_have_its_units(world):
    w = world(4)
    for _ in range(20):
        w.request(1)
    w.talk()
    w.end(signed=False)
    w.drain()
    assert w.applied == 4
    assert w.served == 5


def test_a_batch_is_served_whole_or_refused_with_what_is_left(world):
    w = world(10)
    w.request(8)
    w.request(5)
    w.request(2)
    w.drain()
    assert w.applied == 10
    left = [o.left for o in w.outcomes if isinstance(o, refusals.WouldExceedLimit)]
    assert left == [2]


def test_requests_of_two_services_share_the_limit_of_the_grant(world):
    w = world(5)
    for n in range(12):
        w.request(1, service=n % 2)
    w.drain()
    assert (w.applied, w.refused(refusals.LimitExceeded)) == (5, 7)


def test_a_block_left_idle_near_the_limit_goes_back_for_the_other_service(world):
    w = world(4)
    w.request(1)
    w.request(1)
    w.talk()
    w.end(signed=False)
    w.end(signed=False)
    assert sum(w.ledger.open.values()) == 2
    w.at += 1.0
    w.request(4, service=1)
    w.talk()
    assert [units.count for units in w.under_way] == [4]


def test_an_allowance_too_small_for_who_waits_goes_back_in_the_call_that_asks(world):
    w = world(1_000_000, near=False, valid_for_ms=600_000)
    w.request(1)
    w.request(1)
    w.talk()
    w.end()
    w.end(signed=False)
    w.request(5)
    w.talk()
    call = w.ledger.calls[-1]
    assert [s.applied for s in call.settle] == [1]
    assert call.want[0].need == 5
    assert w.under_way[0].count == 5


def test_an_allowance_with_calls_under_way_is_not_settled(world):
    w = world(100)
    w.request(1)
    w.talk()
    w.at += 100
    w.talk(sweep=True)
    assert not w.ledger.done
    w.end()
    w.talk(sweep=True)
    assert list(w.ledger.done.values()) == [1]


@pytest.mark.parametrize("near", [False, True])
def test_of_very_many_certificates_those_near_their_limit_are_looked_at_in_every_sweep_and_the_others_in_turn(world, near):
    w = world(10_000_000, near=near, valid_for_ms=20_000)
    count = 3 * SWEPT
    for _ in range(count):
        w.certificate_id = uuid4()
        w.request(1)
    w.talk()
    while w.under_way:
        w.end(signed=False)
    w.talk()
    w.at += 60
    swept = []
    while w.talk(sweep=True):
        swept.append(len(w.ledger.calls[-1].settle))
    assert swept == ([count] if near else [SWEPT] * 3)


def test_far_from_the_limit_the_next_block_is_asked_for_at_half_and_near_it_never(world):
    for near in (False, True):
        w = world(10_000_000, near=near, valid_for_ms=600_000)
        for _ in range(10):
            w.request(1)
        w.talk()
        w.at += 0.01
        w.talk()
        ahead = [want for call in w.ledger.calls[1:] for want in call.want]
        assert bool(ahead) is not near


def test_a_lost_answer_is_asked_for_again_under_the_same_id(world):
    w = world(10)
    w.request(1)
    w.talk(lose="answer")
    w.at += 1
    w.talk()
    first, second = w.ledger.calls
    assert first.want == second.want
    assert w.served == 1
    assert len(w.ledger.open) == 1


def test_validity_counts_from_the_first_sending(world):
    w = world(10, valid_for_ms=10_000)
    w.request(1)
    w.talk(lose="call")
    w.at += 4
    w.talk()
    assert w.under_way[0].allowance.deadline == pytest.approx(100 + 9.0)


def test_no_call_is_begun_in_the_last_seconds_of_an_allowance(world):
    w = world(10, valid_for_ms=20_000)
    w.request(1)
    w.request(2)
    w.talk()
    w.end(signed=False)
    w.at = 100 + 18 - 5
    served = w.served
    w.request(1)
    assert w.served == served
    w.drain()
    assert w.ledger.settled == w.applied


def test_units_of_an_epoch_sign_under_that_epoch_only(world):
    w = world(100)
    w.request(1)
    w.request(1)
    w.talk()
    w.end(signed=False)
    w.epoch = w.ledger.epoch = 2
    w.request(1)
    w.drain()
    epochs = [o.allowance.epoch for o in w.outcomes if isinstance(o, Units)]
    assert epochs[-1] == 2
    assert not w.ledger.open


def test_a_stale_epoch_sends_the_request_back_to_be_judged_again(world):
    w = world(100)
    w.ledger.epoch = 2
    w.request(1)
    w.talk()
    assert w.refused(refusals.EpochMoved) == 1


def test_an_expired_grant_refuses_all_that_wait(world):
    w = world(100)
    w.ledger.over = True
    w.request(1)
    w.request(3)
    w.talk()
    assert w.refused(refusals.GrantExpired) == 2


def test_who_waits_while_all_is_held_elsewhere_gives_up_after_five_seconds(world):
    w = world(1)
    w.ledger.open[uuid4()] = 1
    w.request(1)
    w.talk()
    w.at += 4.9
    w.book.tire(w.at)
    assert not w.outcomes
    w.at += 0.1
    w.book.tire(w.at)
    assert w.refused(refusals.Draining) == 1


def test_who_waits_for_units_of_our_own_calls_waits_for_them(world):
    w = world(1)
    w.request(1)
    w.request(1)
    w.talk()
    for _ in range(12):
        w.at += 0.5
        w.talk()
        w.book.tire(w.at)
    assert len(w.outcomes) == 1
    w.end(signed=False)
    assert w.served == 2
    w.drain()
    assert w.applied == 1


def test_without_a_monitor_a_request_gives_up_after_five_seconds(world):
    w = world(1)
    w.request(1)
    w.talk(lose="call")
    w.at += 5
    w.book.tire(w.at)
    assert w.refused(refusals.MonitorAway) == 1


def test_closing_settles_everything_with_calls_under_way_as_applied(world):
    w = world(100)
    w.request(3)
    w.talk()
    w.request(90)
    w.book.close()
    while w.talk():
        pass
    assert next(iter(w.ledger.done.values())) == 3
    assert not w.ledger.open
    assert w.refused(refusals.MonitorAway) == 1


def test_two_gateways_use_exactly_the_limit(world):
    one = world(7)
    other = type(one)(one.ledger, book=Book("gateway-2"))
    for _ in range(10):
        one.request(1)
        other.request(1)
    for _ in range(100):
        for w in (one, other):
            w.book.tire(w.at)
            w.talk(sweep=True)
            if w.under_way:
                w.end()
            w.at += 0.1
    assert one.applied + other.applied == one.ledger.settled == 7
    assert one.refused(refusals.LimitExceeded) + other.refused(refusals.LimitExceeded) == 13


def test_a_block_far_from_the_limit_that_lies_idle_goes_back_when_its_grant_is_draining(world):
    w = world(1_000_000, near=False, valid_for_ms=600_000)
    w.request(1)
    w.request(1)
    w.talk()
    w.end()
    w.end(signed=False)
    w.at += 5
    assert not w.talk(sweep=True)
    w.draining = True
    w.talk(sweep=True)
    assert list(w.ledger.done.values()) == [1]


def test_a_busy_purse_asks_for_its_next_seconds_however_often_it_asks(world):
    w = world(100_000_000, near=False, valid_for_ms=600_000)
    for _ in range(15_000):  # 1 000 signatures a second, each over at once
        w.at += 0.001
        w.request(1)
        w.talk()
        w.end()
    wanted = [want.want for call in w.ledger.calls for want in call.want]
    assert wanted[-1] == pytest.approx(AHEAD * 1_000, rel=0.1)
    assert len(wanted) < 20


@pytest.mark.parametrize("near", [False, True])
def test_a_block_wanted_ahead_or_spent_far_from_the_limit_hurries_nobody_and_shares_a_call(world, near):
    w = world(10_000_000, near=near, valid_for_ms=600_000)
    w.request(1)
    w.talk()
    w.talk()
    hurried = []
    for _ in range(150):  # ten signatures a second, each over at once
        w.end()
        hurried.append(w.book.pressing)
        w.at += 0.1
        w.request(1)
        hurried.append(w.book.pressing)
        if w.book.pressing or len(hurried) % 6 == 0:
            w.talk()
            w.talk()
    assert w.served == 151
    assert any(hurried[10:]) is near  # what the limit is like is known from the first answer
    assert near or len(w.ledger.calls) < 10


def test_a_block_that_will_soon_be_spent_hurries(world):
    w = world(10_000_000, near=False, valid_for_ms=600_000)
    for _ in range(200):
        w.request(1)
    w.talk()
    w.talk()
    w.at += 0.1
    while not w.book.pressing:
        w.request(1)
    assert w.served == len(w.outcomes)


def test_who_waits_is_served_although_the_block_once_asked_for_was_forfeited_before_its_answer_came(world):
    w = world(10)
    w.request(1)
    w.talk(lose="answer")
    asked = w.ledger.calls[0].want[0].allowance_id
    w.ledger.open.pop(asked)
    w.ledger.answers[asked] = Unknown(allowance_id=asked)
    w.at += 1
    w.talk()
    w.at += 1
    w.talk()
    assert w.served == 1
    assert not w.refused(refusals.GrantNotKnown)


STEPS = st.one_of(
    st.tuples(st.just("request"), st.integers(1, 4), st.integers(0, 1)),
    st.tuples(st.just("talk"), st.sampled_from(["", "", "call", "answer"]), st.booleans()),
    st.tuples(st.just("end"), st.integers(0, 5), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([0.01, 0.3, 1.0, 6.0, 30.0]), st.just(0)),
    st.tuples(st.just("renew"), st.just(0), st.just(0)),
)


@given(
    limit=st.integers(1, 12),
    valid_for_ms=st.sampled_from([1_000, 15_000, 600_000]),
    near=st.booleans(),
    steps=st.lists(STEPS, max_size=60),
)
def test_whatever_happens_nothing_is_spent_that_was_not_granted_and_every_unit_is_accounted_for(
    a, limit, valid_for_ms, near, steps
):
    w = a.world(a.ledger(limit, near=near, valid_for_ms=valid_for_ms))
    spent = 0
    for kind, x, y in steps:
        if kind == "request":
            w.request(x, y)
        elif kind == "talk":
            w.talk(lose=x, sweep=y)
        elif kind == "end" and w.under_way:
            w.end(x, signed=y)
        elif kind == "wait":
            w.at += x
            w.book.tire(w.at)
        elif kind == "renew" and w.epoch < 3:
            spent += w.applied  # the model's ledger has one grant: units of the old epoch end before it is replaced
            w.drain()
            assert w.applied <= limit
            assert w.ledger.settled == w.applied
            w.applied, w.ledger.settled = 0, 0
            w.epoch = w.ledger.epoch = w.epoch + 1
        assert w.applied + sum(u.count for u in w.under_way) <= limit
    w.drain()
    assert w.ledger.settled == w.applied <= limit
    assert not w.ledger.open


@pytest.mark.parametrize("near", [False, True])
def test_far_from_the_limit_who_signs_now_and_then_asks_for_several_at_once_and_near_it_for_each(a, near):
    w = a.world(a.ledger(limit=1_000_000, near=near, valid_for_ms=600_000))
    for _ in range(40):
        w.request(1)
        w.talk()
        w.end()
        w.at += 7
        w.talk(sweep=True)
    wanted = sum(len(call.want) for call in w.ledger.calls)
    assert w.served == 40
    assert (wanted == 40) if near else (wanted <= 4)
    assert not near or all(want.want == 1 for call in w.ledger.calls for want in call.want)
