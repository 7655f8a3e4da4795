"""The short form of `make promise`: real processes are killed and stopped while grants of 1, 2, 10 and 1 000 are used up."""

from random import Random

import pytest
from rich.console import Console
from tests.promise import report
from tests.promise.faults import SHORT
from tests.promise.fleet import Fleet
from tests.promise.runs import Storm

from embedded.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]
PORT_BASE = 18_700
SEED = 1


async def test_whoever_dies_or_sleeps_no_promise_is_broken(stack: Stack):
    console = Console()
    async with Fleet(stack) as fleet:
        storm = Storm(fleet, Random(SEED), console.print)
        await storm.prepare()
        done = await storm.runs(SHORT)
    console.print(report.runs(done))
    assert [*report.evidence(done, SEED)] == []
