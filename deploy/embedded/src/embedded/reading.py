"""`sinete logs`: what the processes say."""

import time
from pathlib import Path

import click

from embedded.keeping import tail
from embedded.refusals import StateUnusable
from embedded.state import State

EVERY = 0.2


def show(state: State, process: str | None, *, follow: bool, lines: int) -> None:
    """Prints the end of one log, or of all with names before the lines, and then what is added.

    Raises:
        StateUnusable: there is no such log.
    """
    known = state.logged()
    if not known:
        raise StateUnusable(f"Nothing was ever started in {state.folder}: `sinete up` does it")
    if process is not None and process not in known:
        raise StateUnusable(f"There is no log of {process!r}; there is: {', '.join(known)}")
    chosen = {name: state.log(name) for name in ([process] if process else known)}
    seen = {name: size(path) for name, path in chosen.items()}
    for name, path in chosen.items():
        put(name if process is None else "", tail(path, lines if process else min(lines, 10)))
    while follow:
        time.sleep(EVERY)
        for name, path in chosen.items():
            now = size(path)
            if now != seen[name]:
                put(name if process is None else "", added(path, seen[name] if now > seen[name] else 0))
                seen[name] = now


def put(name: str, text: str) -> None:
    """Prints lines, each with the name before it if there is one."""
    for line in text.splitlines():
        click.echo(f"{name}: {line}" if name else line)


def size(path: Path) -> int:
    """The file's size, 0 while it is missing."""
    return path.stat().st_size if path.exists() else 0


def added(path: Path, since: int) -> str:
    """What was written after `since` bytes."""
    with path.open("rb") as file:
        file.seek(since)
        return file.read().decode(errors="replace")
