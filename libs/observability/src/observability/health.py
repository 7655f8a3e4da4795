"""Whether a process lives and whether it can do its job. Living is the event loop's tick only: no outage kills it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from observability.redaction import masked

Check = Callable[[], Awaitable[None]]
CHECK_S = 3.0


@dataclass(frozen=True)
class Readiness:
    """What `/readyz` tells."""

    status: str  # ready, not-ready or draining
    checks: dict[str, str] = field(default_factory=dict)  # name → "ok" or what is wrong

    @property
    def ready(self) -> bool:
        """Whether the process takes work."""
        return self.status == "ready"


class Health:
    """The checks of one process."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._draining = False

    def check(self, name: str, check: Check) -> None:
        """Adds a condition of readiness: `check` raises when it does not hold; the exception's text is shown."""
        self._checks[name] = check

    def draining(self) -> None:
        """From now on the process takes no new work."""
        self._draining = True

    async def readiness(self) -> Readiness:
        """Runs all checks at once, each for at most 3 s."""
        outcomes = await asyncio.gather(*map(_outcome, self._checks.values()))
        checks = dict(zip(self._checks, outcomes, strict=True))
        if self._draining:
            return Readiness("draining", checks)
        return Readiness("ready" if all(text == "ok" for text in outcomes) else "not-ready", checks)


async def _outcome(check: Check) -> str:
    try:
        await asyncio.wait_for(check(), CHECK_S)
    except TimeoutError as fault:
        return masked(str(fault)) or f"no answer within {CHECK_S:g} s"
    except Exception as fault:  # noqa: BLE001 - whatever is wrong, readiness tells it
        return masked(str(fault))[:300] or type(fault).__name__
    return "ok"
