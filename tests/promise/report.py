"""What `make promise` prints: tables for people, and the evidence of what was broken."""

from collections.abc import Iterator, Mapping, Sequence

from rich.table import Table
from tests.promise.exploring import Found, Size
from tests.promise.runs import Run


def world(kind: str, size: Size, found: Found) -> str:
    """One exploration, in a line; with its trace where it found something."""
    return f"{_size(size)}, {kind}: {found}"


def _size(size: Size) -> str:
    gateways = f"{len(size.blocks)} gateway{'s' if len(size.blocks) > 1 else ''}"
    epochs = f", {size.epochs} epochs" if size.epochs > 1 else ""
    return f"limit {size.limit}, {gateways}, requests of {' or '.join(map(str, size.batches))}, {size.at_once} at once{epochs}"


def worlds(found: Sequence[tuple[str, Size, Found]]) -> Table:
    """World × states × verdict."""
    table = Table("world", "what happens", "states", "steps", "verdict", title="Every state of small worlds")
    for kind, size, each in found:
        verdict = each.fault or ("holds in each" if each.whole else "not explored to its end")
        table.add_row(_size(size), kind, f"{each.states:,}", f"{each.steps:,}", verdict)
    return table


def mistakes(found: Mapping[str, Found]) -> Table:
    """Mistake × what it breaks × the length of its trace."""
    table = Table("seeded mistake", "found as", "steps of the trace", title="Mistakes that an exploration has to find")
    for name, each in found.items():
        table.add_row(name, (each.fault or "[red]goes unnoticed[/]")[:70], str(len(each.trace)))
    return table


def runs(done: Sequence[Run]) -> Table:
    """Fault × runs × violations."""
    columns = ("fault", "runs", "grants", "made", "received", "forfeited", "violations")
    table = Table(*columns, title="Real processes: grants of 1, 2, 10 and 1 000 used up while a fault happens")
    for fault in dict.fromkeys(str(run.fault) for run in done):
        mine = [run for run in done if str(run.fault) == fault]
        grants = sum(len(run.facts) for run in mine)
        numbers = [sum(getattr(run, name) for run in mine) for name in ("made", "received", "forfeited")]
        table.add_row(fault, str(len(mine)), str(grants), *map(str, numbers), str(sum(len(run.broken) for run in mine)))
    total = [sum(getattr(run, name) for run in done) for name in ("made", "received", "forfeited")]
    table.add_section()
    table.add_row("all", str(len(done)), str(4 * len(done)), *map(str, total), str(sum(len(run.broken) for run in done)))
    return table


def evidence(done: Sequence[Run], seed: int) -> Iterator[str]:
    """What was broken, how that is known, and how to see it again."""
    for run in done:
        for each in run.broken:
            yield f"[red]{each.promise}[/] (fault: {run.fault}; seed {seed}): {each.evidence}"
