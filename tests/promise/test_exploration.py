"""The product's own functions in every state of a few small worlds; `make promise` explores larger ones."""

import pytest
from tests.promise.exploring import Explorer, Size
from tests.promise.mistakes import MISTAKES
from tests.promise.reaching import Reaching

pytestmark = pytest.mark.timeout(900)  # seconds of work on a machine of one's own, minutes on one that many share


@pytest.mark.parametrize(
    "size",
    [Size(1, (1, 1)), Size(1, (2,), epochs=2), Size(2, (1,), (1, 2), at_once=2)],
    ids=["one signature, two gateways", "two epochs", "batches beside each other"],
)
def test_every_invariant_holds_in_every_state(size):
    found = Explorer(size).explore()
    assert found.whole, found
    assert found.fault is None, found


@pytest.mark.parametrize("size", [Size(2, (0,), (1, 2)), Size(1, (0, 0))], ids=["alone, in batches", "two gateways"])
def test_without_a_crash_the_limit_can_be_reached_from_every_state(size):
    found = Reaching(size).explore()
    assert found.whole, found
    assert found.fault is None, found


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found_and_its_trace_is_short(name):
    found = MISTAKES[name].explored()
    assert found.fault, f"{name} goes unnoticed: {found}"
    assert len(found.trace) <= 16, found
