"""Runs a package on the movable clock: `python -m embedded.movable PACKAGE [ARGUMENT…]` calls PACKAGE.__main__.main(clock=…).

SINETE_CLOCK names the clock's file, SINETE_CLOCK_ACKS the folder where each process confirms what it has seen.
"""

import importlib
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


def main() -> None:
    """See the module."""
    if len(sys.argv) < 2 or "SINETE_CLOCK" not in os.environ:
        sys.exit("usage: SINETE_CLOCK=FILE python -m embedded.movable PACKAGE [ARGUMENT…]")
    clock = MovableClock(Path(os.environ["SINETE_CLOCK"]))
    if folder := os.environ.get("SINETE_CLOCK_ACKS"):
        confirm_moves(clock, Path(folder))
    package = sys.argv.pop(1)
    sys.argv[0] = package
    importlib.import_module(f"{package}.__main__").main(clock=clock)


if __name__ == "__main__":
    main()
