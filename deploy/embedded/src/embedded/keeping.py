"""Keeps one process running: starts it, watches its health, starts it again with back-off when it dies, ends it."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from embedded.parts.launch import Launch
from embedded.refusals import CannotStart

Health = Literal["ok", "degraded", "down"]
Probe = Callable[[], Awaitable[Health]]
Say = Callable[[str], None]

EVERY = 0.5
"""Seconds between two looks at a process's health."""
LONGEST_PAUSE = 15.0
GOOD_AFTER = 30.0
"""Seconds of health after which earlier deaths are forgotten."""
DEATHS_AT_START = 4
"""A process that dies this often without ever being healthy will not come up."""
GRACE = 10.0
"""Seconds between asking a process to end and ending it."""
KEPT_LOG = 20 << 20
"""Bytes of a log beyond which the next start puts it aside."""
MARKER = "SINETE_STACK"


@dataclass
class Kept:
    """One process that is to run. `begin`, then `healthy`, and at the end `end`."""

    name: str
    launch: Callable[[], Launch] | None
    """What to start; None for a server of the user's own, which is only watched."""
    probe: Probe
    log: Path
    say: Say
    marker: str = ""
    moves: bool = False
    """Whether it runs on the movable clock and confirms its moves."""
    health: Health = "down"
    restarts: int = 0
    process: asyncio.subprocess.Process | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    was_healthy: bool = False
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    starting: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self.process.pid if self.process and self.process.returncode is None else None

    @property
    def runs(self) -> bool:
        """Whether there is anything to ask."""
        return self.launch is None or self.pid is not None

    def begin(self) -> None:
        """Starts it and from now on keeps it."""
        self.tasks = [asyncio.create_task(self.watch())]
        if self.launch:
            self.tasks.append(asyncio.create_task(self.keep(self.launch)))

    async def healthy(self, within: float) -> None:
        """Returns once it is healthy.

        Raises:
            CannotStart: it is not after `within` seconds, or keeps dying; with the tail of its log.
        """
        deadline = asyncio.get_running_loop().time() + within
        while self.health != "ok":
            for task in self.tasks:
                if task.done() and not task.cancelled() and (error := task.exception()):
                    raise CannotStart(self.name, f"{type(error).__name__}: {error}") from error
            if self.restarts >= DEATHS_AT_START and not self.was_healthy:
                raise CannotStart(self.name, f"it ends again and again. {self.tail()}")
            if asyncio.get_running_loop().time() > deadline:
                state = "answers that it is not ready" if self.health == "degraded" else "does not answer"
                raise CannotStart(self.name, f"after {within:.0f} s it {state}. {self.tail()}")
            await asyncio.sleep(0.05)

    async def keep(self, launch: Callable[[], Launch]) -> None:
        """Runs it again and again until `end`."""
        loop, pause = asyncio.get_running_loop(), 0.5
        while True:
            began = loop.time()
            try:
                async with self.starting:
                    self.process = await self.spawn(launch())
                ended = how(await self.process.wait())
            except OSError as error:  # no more processes, a full disk: it may pass
                ended = f"it cannot be started: {error}"
            self.health = "down"
            if self.was_healthy and loop.time() - began > GOOD_AFTER:
                pause = 0.5
            self.restarts += 1
            self.say(f"{self.name} ended ({ended}); starting it again in {pause:g} s. Its log: {self.log}")
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def spawn(self, launch: Launch) -> asyncio.subprocess.Process:
        """Starts it in a group of its own, so that Ctrl-C reaches it through us only."""
        self.stop_signal = launch.stop_signal
        if self.log.exists() and self.log.stat().st_size > KEPT_LOG:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *launch.command(),
                env={**launch.environment(), MARKER: self.marker},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def watch(self) -> None:
        """Looks at its health every half second, more often until it is healthy for the first time."""
        while True:
            health = await self.probe() if self.runs else "down"
            # It may have died while it was being asked.
            self.health = health if self.runs else "down"
            self.was_healthy = self.was_healthy or self.health == "ok"
            await asyncio.sleep(EVERY if self.was_healthy else EVERY / 5)

    async def end(self) -> None:
        """Asks it to end, and ends its whole group after a grace period."""
        async with self.starting:  # so that no process is born while its keeper is ended
            for task in self.tasks:
                task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        process, self.health = self.process, "down"
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(self.stop_signal)
                process.send_signal(signal.SIGCONT)
            try:
                await asyncio.wait_for(process.wait(), GRACE)
            except TimeoutError:
                self.say(f"{self.name} does not end within {GRACE:.0f} s; it is killed")
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    def tail(self, lines: int = 8) -> str:
        """The end of its log, as a sentence for a message."""
        if self.launch is None:
            return "It is a server of yours (DATABASE_URL, KAFKA_BOOTSTRAP): is it there?"
        said = tail(self.log, lines, 300)
        return f"The end of {self.log}:\n{said}" if said else f"It said nothing ({self.log} is empty)."


def how(code: int) -> str:
    """How a process ended, for people."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def tail(path: Path, lines: int, width: int | None = None) -> str:
    """The last lines of a text file, cut at `width`; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 64 * 1024))
            return "\n".join(line[:width] for line in file.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
