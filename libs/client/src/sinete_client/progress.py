"""What a person sees of a batch: a bar on a terminal, a line for each file elsewhere, and what failed at the end."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from sinete_client.batch import Outcome


class Shown:
    """Shows `total` outcomes as they are added."""

    def __init__(self, total: int) -> None:
        self._console = Console(highlight=False, soft_wrap=True)
        self._errors = Console(stderr=True, highlight=False, soft_wrap=True)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=self._console, transient=True, disable=not self._console.is_terminal)
        self._task = self._progress.add_task("signing", total=total)
        self._outcomes: list[Outcome] = []

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def add(self, outcome: Outcome) -> None:
        """One more file has come to its end."""
        self._outcomes.append(outcome)
        self._progress.update(self._task, advance=1, description=outcome.job.file.name)
        if outcome.state == "signed":
            again = " (by an earlier run)" if outcome.resumed else ""
            self._console.print(f"{outcome.job.file} → {outcome.job.output}{again}", markup=False)

    def summed_up(self) -> int:
        """Says what failed and why, and how many were signed; answers the exit status."""
        bad = [outcome for outcome in self._outcomes if outcome.state != "signed"]
        for outcome in bad:
            word = "failed" if outcome.state == "failed" else "not tried"
            self._errors.print(f"{outcome.job.file}: {word}: {outcome.why}", markup=False, style="red")
        signed = len(self._outcomes) - len(bad)
        self._console.print(f"{signed} of {len(self._outcomes)} signed", markup=False)
        if bad:
            self._errors.print("Run the same command again for those that are left.", markup=False)
        return 1 if bad else 0
