"""What a figure is measured by: the CPU seconds of one process, its memory, and how much the machine itself wavers meanwhile."""

import os
import statistics
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

ROUNDS = 40
WORK = 200_000


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def resident_mb(pid: int) -> float:
    """Memory in RAM, MB (10^6 bytes)."""
    return float(psutil.Process(pid).memory_info().rss) / 1e6


def elsewhere() -> bool:
    """Lets this process run whenever it wants to, as on a machine of its own: its waiting for a core of ours is nobody's latency.

    Answers whether it may; without the right to, it waits.
    """
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        return False
    return True


def aside(pid: int, named: str) -> None:
    """Lets the threads of a process whose name begins so run only while nobody else wants their core."""
    for thread in psutil.Process(pid).threads():
        if Path(f"/proc/{pid}/task/{thread.id}/comm").read_text(encoding="utf-8").startswith(named):
            os.sched_setscheduler(thread.id, os.SCHED_IDLE, os.sched_param(0))


@contextmanager
def divided(first: Collection[int]) -> Iterator[int]:
    """One core for the processes with these ids, the others for whatever else runs: ourselves and all that we started.

    What they start meanwhile, as a connection's process or the load, stays where who started it is. Gives the one core's number.

    Raises RuntimeError where there is one core alone.
    """
    cores = sorted(os.sched_getaffinity(0))
    one, *others = cores
    if not others:
        raise RuntimeError("one core alone cannot be divided")
    _bind({pid: [one] for pid in first}, others)
    try:
        yield one
    finally:
        _bind({}, cores)


def _bind(some: Mapping[int, list[int]], rest: list[int]) -> None:
    ourselves = psutil.Process()
    for process in (ourselves, *ourselves.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # one of a connection that has just ended
            for thread in process.threads():
                with suppress(ProcessLookupError):
                    os.sched_setaffinity(thread.id, some.get(process.pid, rest))


@dataclass(frozen=True)
class Noise:
    """How far the same work wandered: wall-clock and CPU time of a fixed loop, slowest tenth ÷ fastest tenth; and the load."""

    wall: float
    cpu: float
    load: float

    @classmethod
    def now(cls) -> "Noise":
        """Measures for about half a second."""
        walls, cpus = [], []
        for _ in range(ROUNDS):
            wall, cpu = time.perf_counter(), time.process_time()
            sum(range(WORK))
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
        return cls(_spread(walls), _spread(cpus), os.getloadavg()[0])

    def __str__(self) -> str:
        return f"the same work took up to {self.wall:.2f}x by the clock, {self.cpu:.2f}x by CPU time; load {self.load:.1f}"


def _spread(values: list[float]) -> float:
    tenths = statistics.quantiles(values, n=10)
    return tenths[-1] / tenths[0]
