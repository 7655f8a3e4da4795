"""How a process is described before it is started."""

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from embedded import leash
from embedded.refusals import CannotStart

LEASH = Path(leash.__file__)


@dataclass(frozen=True)
class Launch:
    """One process: what to run, what differs from our environment (None: unset), and the signal that asks it to end."""

    argv: tuple[str, ...]
    env: Mapping[str, str | None] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    end_signal: signal.Signals = signal.SIGKILL
    """What it gets when we end without having stopped it."""
    way: str = ""
    """How to stop being root first, a key of `leash.WAYS`; empty: not at all."""

    def command(self) -> list[str]:
        """The whole command line, leashed to this process: when it ends, the other one is told to end."""
        way = [self.way] if self.way else []
        return [sys.executable, "-S", "-E", str(LEASH), str(os.getpid()), self.end_signal.name, *way, "--", *self.argv]

    def environment(self) -> dict[str, str]:
        """Ours, with what the launch changes."""
        return {name: value for name, value in {**os.environ, **self.env}.items() if value is not None}

    def run(self, *, what: str, timeout: float = 60) -> str:
        """Runs it to its end and returns what it printed.

        Raises:
            CannotStart: it failed or took longer than `timeout` seconds.
        """
        try:
            done = subprocess.run(
                self.command(),
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CannotStart(what, f"it took longer than {timeout:.0f} s") from error
        said = done.stdout.decode(errors="replace").strip()
        if done.returncode != 0:
            raise CannotStart(what, said[-2000:] or f"it ended with {done.returncode}")
        return said


@functools.cache
def way_down() -> str:
    """How to start a process that must not be root: empty for whoever is not, else the first way that this machine allows.

    Containers differ in what they forbid, so each is tried.

    Raises:
        CannotStart: there is none.
    """
    if not (hasattr(os, "geteuid") and os.geteuid() == 0):
        return ""
    for way in leash.WAYS:
        trial = [sys.executable, "-S", "-E", str(LEASH), str(os.getpid()), "SIGKILL", way, "--", sys.executable, "-S", "-c", "0"]
        if subprocess.run(trial, capture_output=True, check=False, timeout=30).returncode == 0:
            return way
    raise CannotStart(
        "PostgreSQL",
        "it refuses to run as root, and this root may neither make a user namespace nor change its user: "
        "run as an ordinary user, or set DATABASE_URL to a server of yours",
    )
