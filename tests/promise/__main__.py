"""`make promise`: the hard promise, explored in small worlds and then tried on real processes.

    python -m tests.promise [--seed N] [--minutes M] [--models-only | --processes-only]

Prints a table of the worlds, one of the seeded mistakes, and one of fault × runs × violations. Status 1 when a promise is broken,
a mistake goes unnoticed, or a world is not explored to its end.
"""

import argparse
import asyncio
import secrets
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from rich.console import Console
from tests.promise import report
from tests.promise.exploring import Explorer, Found, Size
from tests.promise.faults import every_fault
from tests.promise.fleet import Fleet
from tests.promise.mistakes import MISTAKES
from tests.promise.reaching import Reaching
from tests.promise.runs import Run, Storm

from embedded.stack import Stack

PORT_BASE = 18_300
MINUTES = 16.0
LAST_RUN_S = 180  # no run is begun when less than this is left
WORLDS: tuple[tuple[type[Explorer], Size], ...] = (
    (Explorer, Size(1, (1, 1))),
    (Explorer, Size(1, (2,), epochs=2)),
    (Explorer, Size(2, (1,), (1, 2), at_once=2)),
    (Explorer, Size(2, (1, 1))),
    (Explorer, Size(2, (2,), (1, 2))),
    (Reaching, Size(2, (0,), (1, 2))),
    (Reaching, Size(1, (0, 0))),
    (Reaching, Size(2, (0, 0))),
)


def main() -> int:
    """See the module."""
    asked = argparse.ArgumentParser(prog="make promise", description="Tries to break the hard promise.")
    asked.add_argument("--seed", type=int, default=secrets.randbelow(10**6), help="of what happens to whom, and when")
    asked.add_argument("--minutes", type=float, default=MINUTES, help="for the runs on real processes")
    part = asked.add_mutually_exclusive_group()
    part.add_argument("--models-only", action="store_true", help="only the exploration of small worlds")
    part.add_argument("--processes-only", action="store_true", help="only the runs on real processes")
    told = asked.parse_args()
    console = Console()
    console.print(f"seed {told.seed}: make promise SEED={told.seed} does the same to the same parts")
    kept = True
    if not told.processes_only:
        kept = explored(console)
    if not told.models_only:
        kept = asyncio.run(stormed(console, told.seed, told.minutes * 60)) and kept
    console.print("every promise was kept" if kept else "[bold red]a promise was broken[/]")
    return 0 if kept else 1


def explored(console: Console) -> bool:
    """The small worlds and the mistakes."""
    worlds: list[tuple[str, Size, Found]] = []
    for kind, size in WORLDS:
        worlds.append(("no crash" if kind is Reaching else "every fault", size, kind(size).explore()))
        console.print(report.world(*worlds[-1]), markup=False, highlight=False)
    mistakes: dict[str, Found] = {}
    for name, mistake in MISTAKES.items():
        mistakes[name] = mistake.explored()
        console.print(f"mistake: {name}: {mistakes[name]}", markup=False, highlight=False)
    console.print(report.worlds(worlds))
    console.print(report.mistakes(mistakes))
    return all(found.whole and not found.fault for _, _, found in worlds) and all(found.fault for found in mistakes.values())


async def stormed(console: Console, seed: int, seconds: float) -> bool:
    """The real processes; the stack is taken down at the end, whatever happens."""
    end = time.monotonic() + seconds
    random = Random(seed)
    with tempfile.TemporaryDirectory(prefix="sinete-promise-", ignore_cleanup_errors=True) as folder:
        stack = Stack(Path(folder) / "state", PORT_BASE)
        done: list[Run] = []
        try:
            await asyncio.to_thread(stack.up)
            async with Fleet(stack) as fleet:
                storm = Storm(fleet, random, console.print)
                await storm.prepare()
                while time.monotonic() < end - LAST_RUN_S:
                    done += await storm.runs(every_fault(random), go_on=lambda: time.monotonic() < end - LAST_RUN_S)
        finally:
            await asyncio.to_thread(stack.sinete, "down", check=False)
            console.print(report.runs(done))
            for line in report.evidence(done, seed):
                console.print(line)
    return bool(done) and not any(run.broken for run in done)


if __name__ == "__main__":
    sys.exit(main())
