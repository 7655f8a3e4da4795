"""Faults befall real processes, and say whom they missed."""

import subprocess

import pytest
from tests.promise.faults import NOTHING, Fault
from tests.promise.fleet import Beside, Fleet


@pytest.fixture
def fleet():
    """Two gateways that run, one that has ended, and one that was never started."""
    processes = [subprocess.Popen(["sleep", "60"]) for _ in range(3)]
    processes[2].kill()
    processes[2].wait()
    yield Fleet(None, [Beside(f"gateway {n}", "signing-gateway", 0, {}, each) for n, each in enumerate([*processes, None], 1)])
    for process in processes:
        process.kill()
        process.wait()


async def test_whoever_is_killed_ends(fleet):
    assert await Fault("killed", ("gateway 1", "gateway 2")).happen(fleet) == []
    assert [each.process.wait(10) for each in fleet.beside[:2]] == [-9, -9]


async def test_whoever_is_paused_goes_on(fleet):
    assert await Fault("paused", ("gateway 1",), 0.01).happen(fleet) == []
    assert fleet.beside[0].process.poll() is None


@pytest.mark.parametrize("kind", ["killed", "paused"])
async def test_a_part_of_which_no_process_was_reached_is_told(fleet, kind):
    fault = Fault(kind, ("gateway 1", "gateway 3", "gateway 4"))
    assert await fault.happen(fleet) == ["gateway 3", "gateway 4"]


async def test_nothing_misses_nobody(fleet):
    assert await NOTHING.happen(fleet) == []
