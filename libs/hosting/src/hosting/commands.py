"""The commands that every service has: serve (the default), migrate, replay-dead-letters, and its own, as retell."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from hosting.clock import Clock
from hosting.database import migrate
from hosting.serving import App, run
from hosting.settings import ProcessSettings, load

TSettings = TypeVar("TSettings", bound=ProcessSettings)


def run_command(
    *,
    service: str,
    package: str,
    settings: type[TSettings],
    build: Callable[[TSettings, Clock], App],
    clock: Clock,
    commands: Mapping[str, Callable[[TSettings, Clock, list[str]], Awaitable[int]]] | None = None,
    database: bool = True,
    niceness: int = 0,
) -> None:
    """Runs what argv says; the process ends with the command's status. While it serves it gives way by `niceness` (nice(2))."""
    name, *args = sys.argv[1:] or ["serve"]
    own = dict(commands or {})
    known = ["serve", "migrate", "replay-dead-letters", *own]
    if name not in known:
        sys.stderr.write(f"{name}: not a command of {service}; there are {', '.join(known)}\n")
        sys.exit(2)
    told = load(settings)
    if name == "serve":
        os.nice(niceness)
        run(build, told, clock, package=package if database else None, service=service)
    elif name == "migrate":
        asyncio.run(migrate(told.database_url.get_secret_value(), package))
    elif name == "replay-dead-letters":
        from messaging.dead_letters import replay

        count = asyncio.run(replay(told.kafka_bootstrap, service, told.topic_prefix))
        sys.stdout.write(f"{count} dead letters were told again\n")
    else:
        sys.exit(asyncio.run(_awaited(own[name](told, clock, args))))


async def _awaited(work: Awaitable[int]) -> int:
    return await work
