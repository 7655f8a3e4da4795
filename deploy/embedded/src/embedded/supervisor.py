"""The supervisor of one stack: brings it up in an order that loses no time, keeps it, takes it down in reverse."""

import asyncio
import functools
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from typing import Any, Literal

from embedded import keys, plan, preparing, probing
from embedded.clock import MovableClock, has_seen
from embedded.durations import instant, written
from embedded.keeping import Kept, Probe, Say, tail
from embedded.leftovers import is_stopped
from embedded.parts.kafka import Kafka
from embedded.parts.launch import Launch
from embedded.parts.postgres import Postgres
from embedded.plan import Addresses
from embedded.ports import SERVICES, Ports
from embedded.refusals import CannotStart, ClockRefused, SeedingFailed
from embedded.state import State, read_json

Phase = Literal["starting", "seeding", "ready", "stopping"]
WITHIN = 60.0
"""Seconds a process may take from its start to its health; the first start of a slow machine included."""
ELSEWHERE_WITHIN = 20.0
"""Seconds a server of the user's own has to answer."""
CONFIRM_WITHIN = 10.0
SEED_WITHIN = 180.0
PARTS = ("postgres", "kafka", "mailbox", "sandbox-ca", "traces")


class Stack:
    """One stack. `up` returns when all is healthy; `down` ends everything in reverse order."""

    def __init__(self, state: State, ports: Ports, say: Say, environ: Mapping[str, str] = os.environ) -> None:
        keys.make_secrets(state)
        self.state = state
        self.say = say
        self.phase: Phase = "starting"
        self.stopping = False
        self.kept: dict[str, Kept] = {}
        self.clock = MovableClock(state.clock)
        self.moving = asyncio.Lock()
        self.marker = state.marker()
        password = (state.secrets("databases") / "postgres").read_text(encoding="ascii")
        postgres, kafka = environ.get("DATABASE_URL"), environ.get("KAFKA_BOOTSTRAP")
        self.postgres = None if postgres else Postgres(state.folder / "postgres", ports.of("postgres"), password)
        self.kafka = None if kafka else Kafka(state.folder / "kafka", ports.of("kafka"), ports.of("kafka-controller"))
        self.at = Addresses(
            state,
            ports,
            kafka=self.kafka.bootstrap if self.kafka else str(kafka),
            postgres=self.postgres.url if self.postgres else str(postgres),
            shared=self.postgres is None,
        )

    def progress(self, text: str) -> None:
        """Hears what a part that is being prepared says, and stops the preparing when the stack stops."""
        if self.stopping:
            raise CannotStart("The stack", "it was told to stop")
        self.say(text)

    async def up(self) -> None:
        """Starts everything, as much as possible at once, and returns when all is healthy and seeded.

        Raises:
            CannotStart: something does not come up, or the demo account cannot be made.
        """
        at, state = self.at, self.state
        state.prepared.unlink(missing_ok=True)
        parts = [self.up_postgres(), self.up_kafka()]
        others = [
            self.begin("traces", lambda: plan.traces(at), probing.of_url(at.traces)),
            self.begin("mailbox", lambda: plan.movable(at, "mailbox"), probing.of_url(f"{at.mailbox}/healthz"), moves=True),
            self.begin(
                "sandbox-ca", lambda: plan.movable(at, "sandbox-ca"), probing.of_url(f"{at.sandbox_ca}/healthz"), moves=True
            ),
        ]
        services = [
            self.begin(name, functools.partial(plan.service, at, name), probing.of_url(f"{at.admin(name)}/readyz"), moves=True)
            for name in SERVICES
        ]
        await together(*parts, *(kept.healthy(WITHIN) for kept in others))
        state.prepared.touch()
        await together(*(kept.healthy(WITHIN) for kept in services))
        if not read_json(self.state.demo):
            self.phase = "seeding"
            await self.seed()
        self.phase = "ready"

    async def up_postgres(self) -> None:
        """PostgreSQL, then the databases in it."""
        if self.postgres:
            await asyncio.to_thread(self.postgres.prepare, self.progress)
        launch = self.postgres.launch if self.postgres else None
        await self.keep("postgres", launch, probing.of_postgres(self.at.postgres))
        await preparing.create_databases(self.at)

    async def up_kafka(self) -> None:
        """Kafka, then the topics on it."""
        if self.kafka:
            await asyncio.to_thread(self.kafka.prepare, self.progress)
        await self.keep("kafka", self.kafka.launch if self.kafka else None, probing.of_kafka(self.at.kafka))
        await preparing.create_topics(self.at.kafka)

    async def keep(self, name: str, launch: Callable[[], Launch] | None, probe: Probe) -> None:
        """Begins to keep a process, or to watch a server of the user's own, and waits for its health."""
        await self.begin(name, launch, probe).healthy(WITHIN if launch else ELSEWHERE_WITHIN)

    def begin(self, name: str, launch: Callable[[], Launch] | None, probe: Probe, *, moves: bool = False) -> Kept:
        """Begins to keep a process; `moves`: it is on the movable clock."""
        self.kept[name] = kept = Kept(name, launch, probe, self.state.log(name), self.say, self.marker, moves=moves)
        kept.begin()
        return kept

    async def seed(self) -> None:
        """Makes the demo account, in a process of its own. Nothing is undone when it fails: the next `up` tries again."""
        self.say("making the demo account")
        argv = (sys.executable, "-m", "embedded.seed_once", str(self.state.folder), str(self.at.ports.base))
        servers = {"DATABASE_URL": self.at.postgres, "KAFKA_BOOTSTRAP": self.at.kafka, **plan.clock_environment(self.state)}
        seeder = Kept("seeding", None, probing.of(bool), self.state.log("seeding"), self.say, self.marker)
        self.kept["seeding"] = seeder
        seeder.process = await seeder.spawn(Launch(argv, servers))
        try:
            code = await asyncio.wait_for(seeder.process.wait(), SEED_WITHIN)
            problem = tail(seeder.log, 1, 500) if code else ""
        except TimeoutError:
            problem = f"it takes more than {SEED_WITHIN:.0f} s"
        finally:
            await seeder.end()
            del self.kept["seeding"]
        if problem:
            raise SeedingFailed(problem)

    async def down(self) -> None:
        """Ends everything in reverse order; what does not depend on each other at once."""
        self.stopping, self.phase = True, "stopping"
        for names in (("seeding",), SERVICES, ("traces", "sandbox-ca", "mailbox"), ("kafka", "postgres")):
            await asyncio.gather(*(self.kept[name].end() for name in names if name in self.kept))

    async def move_clock(self, *, by: timedelta | None = None, to: str | None = None) -> dict[str, Any]:
        """Moves the clock forward and returns it once every live process has confirmed.

        Raises:
            ClockRefused: it would go back, or a process does not confirm.
        """
        async with self.moving:
            offset = self.clock.advance(by) if by is not None else self.clock.move_to(instant(str(to)))
            waiting = await self.unconfirmed(offset)
        if waiting:
            raise ClockRefused(
                f"The clock is at {written(self.clock())}, but {', '.join(waiting)} did not confirm within "
                f"{CONFIRM_WITHIN:.0f} s: see `sinete logs {waiting[0]}`"
            )
        return self.clock_status()

    async def unconfirmed(self, offset: timedelta) -> list[str]:
        """Waits for every process on the clock that runs; those that stay silent."""
        deadline = asyncio.get_running_loop().time() + CONFIRM_WITHIN
        while True:
            waiting = [
                name
                for name, kept in self.kept.items()
                if kept.moves and kept.pid and not is_stopped(kept.pid) and not has_seen(self.state.clock_acks, kept.pid, offset)
            ]
            if not waiting or asyncio.get_running_loop().time() > deadline:
                return waiting
            await asyncio.sleep(0.02)

    def clock_status(self) -> dict[str, Any]:
        """`{"now", "offset_seconds"}`."""
        return {"now": written(self.clock()), "offset_seconds": self.clock.offset.total_seconds()}

    def status(self) -> dict[str, Any]:
        """What `sinete status --json` prints."""
        at = self.at
        services = {name: {"url": at.service(name), "admin_url": at.admin(name), **self.part(name)} for name in SERVICES}
        services["signing-gateway"]["https_url"] = at.gateway_https
        return {
            "services": services,
            "sandbox_ca": {"url": at.sandbox_ca},
            "mailbox": {"url": at.mailbox, "smtp": at.smtp},
            "traces": {"url": at.traces},
            "kafka": {"bootstrap": at.kafka},
            "postgres": {"url": at.postgres},
            "clock": self.clock_status(),
            "demo": read_json(self.state.demo),
            "supervisor": {"pid": os.getpid(), "phase": self.phase, "port_base": at.ports.base},
            "parts": {name.replace("-", "_"): self.part(name) for name in PARTS},
        }

    def part(self, name: str) -> dict[str, Any]:
        """How one process is."""
        kept = self.kept.get(name)
        if kept is None:
            return {"health": "down", "pid": None, "restarts": 0}
        return {"health": kept.health, "pid": kept.pid, "restarts": kept.restarts}


async def together(*work: Coroutine[Any, Any, None]) -> None:
    """Does it all at once. The first failure ends the rest and is raised as it is."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
