"""`make bench`: measures every figure in one run, prints them as a table and writes `bench.json`.

    python -m tests.bench [NAME…] [--out FILE]

NAME picks scenarios; without one all run. A missed bar is said loudly and ends the command with status 0: a shared machine
is no judge of a change. `--strict` makes it status 1.
"""

import argparse
import asyncio
import importlib
import json
import signal
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tests.bench.bench import opened
from tests.bench.figure import Figure
from tests.bench.machine import Noise

from observability.logs import set_up_logs

SCENARIOS = ("counting", "patrolling", "expiring", "spreading", "signing", "authority", "catching_up")
"""Modules beside this one, each with `async def figures(bench) -> list[Figure]`; they run in this order, one after the other.

Signing comes late: the broker's JVM has compiled what it does most by then, and no longer takes a core to do so.
"""

OUT = Path(__file__).resolve().parents[2] / "bench.json"


def main() -> int:
    """See the module."""
    asked = argparse.ArgumentParser(prog="make bench", description="Measures every figure against its bar.")
    asked.add_argument("scenarios", nargs="*", metavar="NAME", help=f"of {', '.join(SCENARIOS)}; all without one")
    asked.add_argument("--out", type=Path, default=OUT, help="where the figures are written")
    asked.add_argument("--strict", action="store_true", help="end with status 1 when a bar is missed")
    told = asked.parse_args()
    if unknown := set(told.scenarios) - set(SCENARIOS):
        asked.error(f"{', '.join(sorted(unknown))}: no scenario; there are {', '.join(SCENARIOS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends with us
    set_up_logs("bench", "WARNING")
    console, begun = Console(), time.monotonic()
    found, noises, failed = measured(told.scenarios or SCENARIOS, console)
    told.out.write_text(json.dumps({"figures": [figure.written() for figure in found]}, indent=1) + "\n")
    console.print(table(found))
    console.print(f"{time.monotonic() - begun:.0f} s. Noise of this machine meanwhile, before and after each scenario:")
    for name, noise in noises:
        console.print(f"  {name}: {noise}")
    missed = [figure.name for figure in found if not figure.holds]
    for name in missed:
        console.print(f"[bold red]MISSED[/] {name}")
    for name, fault in failed:
        console.print(f"[bold red]FAILED[/] {name}: {fault}", markup=True)
    if not missed and not failed:
        console.print("[bold green]every bar is passed[/]")
    return 1 if failed or (told.strict and missed) else 0


def measured(
    names: tuple[str, ...] | list[str], console: Console
) -> tuple[list[Figure], list[tuple[str, Noise]], list[tuple[str, str]]]:
    """The figures of these scenarios, the noise around each, and what could not be measured."""
    found: list[Figure] = []
    noises: list[tuple[str, Noise]] = []
    failed: list[tuple[str, str]] = []
    with tempfile.TemporaryDirectory(prefix="sinete-bench-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL may have to run as another user
        with opened(Path(folder), lambda line: console.print(f"[dim]{line}[/]", highlight=False)) as bench:
            for name in names:
                begun = time.monotonic()
                console.print(f"[bold]{name}[/]")
                noises.append((f"before {name}", Noise.now()))
                try:
                    found += asyncio.run(importlib.import_module(f"tests.bench.{name}").figures(bench))
                except Exception as fault:  # noqa: BLE001 - the other scenarios are measured all the same
                    console.print_exception()
                    failed.append((name, f"{type(fault).__name__}: {fault}"))
                noises.append((f"after {name}", Noise.now()))
                console.print(f"[dim]{name} took {time.monotonic() - begun:.0f} s[/]")
    return found, noises, failed


def table(figures: list[Figure]) -> Table:
    """What people read."""
    made = Table("figure", "value", "bar", "holds", "beside", show_lines=True)
    for figure in figures:
        holds = "[green]yes[/]" if figure.holds else "[bold red]NO[/]"
        beside = "\n".join(f"{name}: {value}" for name, value in figure.beside.items())
        made.add_row(figure.name, f"{figure.value:.3g} {figure.unit}", f"{figure.passes} {figure.bar:g}", holds, beside)
    return made


if __name__ == "__main__":
    sys.exit(main())
