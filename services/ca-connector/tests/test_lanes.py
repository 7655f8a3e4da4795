from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca_connector.bulk import Reply, SignItem
from ca_connector.lanes import Lane, Waiting


def waiting(count, *, alone=False):
    """An item of `count` hashes, each of which names its place."""
    item = SignItem(uuid4(), uuid4(), 1, [f"{place}" for place in range(count)], "h", "s")
    return Waiting(item, Reply(1), alone=alone)


def a_lane(*items):
    lane = Lane(uuid4(), ("h", "s", None))
    lane.waiting.extend(items)
    return lane


def sizes(items, step):
    return [len(item.part(step)) for item in items]


@given(st.lists(st.integers(1, 25), max_size=12), st.integers(1, 10))
def test_every_hash_goes_once_in_its_place_and_no_call_is_larger_than_the_ca_takes(counts, step):
    items = [waiting(count) for count in counts]
    lane = a_lane(*items)
    while taken := lane.take(step):
        assert sum(sizes(taken, step)) <= step
        larger = [item for item in taken if not item.signed([f"signed {each}" for each in item.part(step)])]
        lane.go_on(larger)
    for item, count in zip(items, counts, strict=True):
        assert item.made == [f"signed {place}" for place in range(count)]


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=12))
def test_an_item_that_goes_alone_goes_alone(told):
    lane = a_lane(*(waiting(count, alone=alone) for count, alone in told))
    seen = 0
    while taken := lane.take(10):
        assert len(taken) == 1 or not any(item.alone for item in taken)
        seen += len(taken)
    assert seen == len(told)


def test_what_nobody_waits_for_any_more_is_left():
    left, stays = waiting(1), waiting(1)
    left.reply.abandoned = True
    assert a_lane(left, stays, left).take(10) == [stays]


def test_a_lane_wants_one_more_until_enough_are_at_work_and_none_while_one_sets_out():
    lane = a_lane(waiting(1))
    for _ in range(3):
        assert lane.wants_another(3)
        lane.set_out()
        assert not lane.wants_another(3)
        lane.take(10)
    assert not lane.wants_another(3)
    assert [lane.came_back() for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize(("made", "outcome"), [(0, "refused"), (1, "unknown")])
def test_a_refused_part_of_an_item_that_was_signed_in_part_leaves_it_unknown(made, outcome):
    item = waiting(2)
    item.signed(["A"] * made)
    item.refused("ca-refused", "why")
    assert item.reply._ready[0].outcome == outcome


def test_what_waited_too_long_is_refused_as_never_sent_and_what_came_later_stays():
    first, second = waiting(1), waiting(1)
    first.since, second.since = 10.0, 20.0
    lane = a_lane(first, second)
    lane.shed(15.0)
    assert [(each.outcome, each.reason) for each in first.reply._ready] == [("refused", "ca-unavailable")]
    assert list(lane.waiting) == [second]


def test_a_large_item_lets_others_go_between_its_parts():
    large, small = waiting(5), waiting(2)
    lane = a_lane(large, small)
    assert lane.take(3) == [large]
    large.signed(["A"] * 3)
    lane.go_on([large])
    assert lane.take(3) == [small]
