"""What befalls the platform while clients sign: parts are killed, or stopped for a while, one or two at a time."""

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from tests.promise.fleet import Fleet

PARTS = (
    "signing-gateway 1",
    "signing-gateway 2",
    "signing-gateway 3",
    "grant-monitor 1",
    "grant-monitor 2",
    "ca-connector",
    "certificate-registry",
    "kafka",
    "postgres",
)
SHORT_S, LONG_S = 3.0, 18.0
"""A pause within, and beyond, what an allowance near the limit is good for."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong."""

    kind: Literal["nothing", "killed", "paused"]
    parts: tuple[str, ...] = ()
    seconds: float = 0

    def __str__(self) -> str:
        if self.kind == "nothing":
            return "nothing"
        for_so_long = f" for {self.seconds:g} s" if self.seconds else ""
        return f"{' and '.join(self.parts)} {self.kind}{for_so_long}"

    @property
    def exact(self) -> bool:
        """Whether no unit may be lost: nothing that holds or hands out units, or tells of them, was touched."""
        return self.seconds <= SHORT_S and set(self.parts) <= {"certificate-registry", "ca-connector"}

    @property
    def keys(self) -> bool:
        """Whether every answer can be recorded under its Idempotency-Key: without its database a gateway logs that it cannot."""
        return "postgres" not in self.parts

    async def happen(self, fleet: Fleet) -> list[str]:
        """Does it; a pause ends by itself. Answers the parts of which no process was reached: those it did not befall."""
        number = signal.SIGSTOP if self.kind == "paused" else signal.SIGKILL
        reached = await asyncio.gather(*(fleet.signalled(part, number) for part in self.parts))
        if self.kind == "paused":
            try:
                await asyncio.sleep(self.seconds)
            finally:
                await asyncio.gather(*(fleet.signalled(part, signal.SIGCONT) for part in self.parts))
        return [part for part, pids in zip(self.parts, reached, strict=True) if not pids]


NOTHING = Fault("nothing")
SHORT: Sequence[Fault] = (
    NOTHING,
    Fault("killed", ("signing-gateway 2", "grant-monitor 2")),
    Fault("paused", ("signing-gateway 3",), LONG_S),
    Fault("killed", ("kafka",)),
)
"""One of each kind, for a run of a few minutes."""


def every_fault(random: Random) -> list[Fault]:
    """Each part killed and paused, nothing, and some pairs, in an order of chance."""
    alone = [Fault("killed", (part,)) for part in PARTS]
    alone += [Fault("paused", (part,), random.choice((SHORT_S, LONG_S))) for part in PARTS]
    pairs = [Fault("killed", tuple(random.sample(PARTS, 2))) for _ in range(4)]
    pairs += [Fault("paused", tuple(random.sample(PARTS, 2)), random.choice((SHORT_S, LONG_S))) for _ in range(2)]
    rest = alone + pairs
    random.shuffle(rest)
    return [NOTHING, *rest]
