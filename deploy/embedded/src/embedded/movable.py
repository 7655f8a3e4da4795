"""Runs a package on the movable clock: `python -m embedded.movable PACKAGE [ARGUMENT…]` calls PACKAGE.__main__.main(clock=…).

SINETE_CLOCK names the clock's file, SINETE_CLOCK_ACKS the folder where each process confirms what it has seen. SINETE_AFTER, if
set, names a file to wait for between loading the package and running it: loading is most of a start, and needs no database.
"""

import importlib
import importlib.util
import os
import sys
import threading
from datetime import timedelta
from pathlib import Path

from embedded.clock import OFFSET, MovableClock, acknowledgement

EVERY = 0.1
"""Seconds between two looks at the offset."""


def confirm_moves(clock: MovableClock, folder: Path) -> None:
    """Confirms the present offset before it returns, and each later one from a daemon thread."""
    mine = acknowledgement(folder, os.getpid())
    half = mine.with_suffix(".new")

    def confirm() -> timedelta:
        seen = clock.offset
        half.write_bytes(OFFSET.pack(seen // timedelta(microseconds=1)))
        half.replace(mine)
        return seen

    def watch(seen: timedelta) -> None:
        pause = threading.Event()
        while not pause.wait(EVERY):
            if clock.offset != seen:
                seen = confirm()

    folder.mkdir(parents=True, exist_ok=True)
    threading.Thread(target=watch, args=(confirm(),), daemon=True, name="clock").start()


def load_and_wait(package: str, after: Path) -> None:
    """Loads what the package will need, and returns when `after` is there."""
    if importlib.util.find_spec(f"{package}.app"):
        importlib.import_module(f"{package}.app")
    pause = threading.Event()
    while not after.exists():
        pause.wait(EVERY / 5)


def main() -> None:
    """See the module."""
    if len(sys.argv) < 2 or "SINETE_CLOCK" not in os.environ:
        sys.exit("usage: SINETE_CLOCK=FILE python -m embedded.movable PACKAGE [ARGUMENT…]")
    clock = MovableClock(Path(os.environ["SINETE_CLOCK"]))
    if folder := os.environ.get("SINETE_CLOCK_ACKS"):
        confirm_moves(clock, Path(folder))
    package = sys.argv.pop(1)
    sys.argv[0] = package
    module = importlib.import_module(f"{package}.__main__")
    if after := os.environ.get("SINETE_AFTER"):
        load_and_wait(package, Path(after))
    module.main(clock=clock)


if __name__ == "__main__":
    main()
