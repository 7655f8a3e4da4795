"""What a figure is measured by: the CPU seconds of one process, its memory, and how much the machine itself wavers meanwhile."""

import os
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass

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


def elsewhere() -> None:
    """Lets this process run whenever it wants to, as on a machine of its own: its waiting for a core of ours is nobody's latency.

    Without the right to, it waits.
    """
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


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
