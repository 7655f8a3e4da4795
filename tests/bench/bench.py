"""Where scenarios measure: one real PostgreSQL, one real Kafka, and platforms of their own on them with real processes."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import psutil
from aiokafka import AIOKafkaProducer
from tests.bench.machine import aside, cpu_seconds, resident_mb

from contracts import Told, encode
from contracts.topics import TOPICS
from embedded import keys, plan, preparing
from embedded.keeping import tail
from embedded.parts.holding import embedded, free_port
from embedded.parts.kafka import Kafka
from embedded.parts.postgres import Postgres
from embedded.ports import SERVICES, Ports, taken
from embedded.state import State
from hosting.clock import utc_now

FIRST_PORT = 21_000
READY_WITHIN = 90.0
COMPILER = "C2 Compiler"  # the JVM's second, which has been through for long where a broker runs for days


@dataclass
class Running:
    """A process that was started for a measurement."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def cpu(self) -> float:
        """CPU seconds so far."""
        return cpu_seconds(self.pid)

    def memory(self) -> float:
        """Resident MB."""
        return resident_mb(self.pid)

    def listens(self, port: int | None) -> bool:
        """Whether it has the port."""
        try:
            held = psutil.Process(self.pid).net_connections("tcp")
        except psutil.Error:
            return False  # it has just ended, or is about to
        return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in held)

    def stop(self) -> None:
        """Asks it to end, and ends it after a while."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@dataclass
class Platform:
    """Databases, topics (with a prefix) and secrets of one scenario; `start` runs real processes on them."""

    at: plan.Addresses
    prefix: str
    say: Callable[[str], None]
    running: list[Running] = field(default_factory=list)

    def settings(self, service: str) -> dict[str, str | None]:
        """The environment of a service here: as in the embedded stack, with traces sampled as in production."""
        told = dict(plan.settings(self.at, service))
        return told | {"TOPIC_PREFIX": self.prefix, "TRACE_SHARE": "0.01", "LOG_LEVEL": "WARNING"}

    def database_url(self, service: str) -> str:
        """The URL of a service's database, with its role's password."""
        return (self.at.state.secrets(service) / "database_url").read_text(encoding="ascii").strip()

    async def migrate(self, service: str) -> None:
        """Makes the service's tables now, so that a scenario can fill them before the service starts."""
        from hosting.database import migrate

        await migrate(self.database_url(service), plan.PACKAGES[service])

    async def start(self, service: str, **changed: str | None) -> Running:
        """A real service process, ready when this returns."""
        started = self.run(service, [sys.executable, "-m", plan.PACKAGES[service]], {**self.settings(service), **changed})
        await self.ready(started, self.at.admin(service) + "/readyz")
        return started

    def run(self, name: str, argv: Iterable[str], environment: Mapping[str, str | None]) -> Running:
        """A process that ends with the platform; what it says goes into a log."""
        log = self.at.state.log(name)
        whole = {key: value for key, value in {**os.environ, **environment}.items() if value is not None}
        with log.open("ab") as output:
            process = subprocess.Popen([*argv], env=whole, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        self.running.append(Running(name, process, log))
        return self.running[-1]

    async def ready(self, started: Running, url: str) -> None:
        """Returns when it answers the URL with 200, it and nobody else who listens there.

        Raises RuntimeError with the end of its log when it ends or takes too long.
        """
        deadline, port = time.monotonic() + READY_WITHIN, urlsplit(url).port
        while not (started.listens(port) and await asyncio.to_thread(_answers, url)):
            if started.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{started.name} is not ready:\n{tail(started.log, 30)}")
            await asyncio.sleep(0.1)  # each asks the database too, and takes its time from what is measured

    async def tell(self, events: Iterable[Told], *, source: str = "bench") -> None:
        """Tells events onto their topics, acknowledged."""
        from uuid import uuid4

        producer = AIOKafkaProducer(
            bootstrap_servers=self.at.kafka, acks="all", enable_idempotence=True, linger_ms=5, max_batch_size=262_144
        )
        await producer.start()
        try:
            pending = []
            for event in events:
                value, headers = encode(event, event_id=uuid4(), source=source, at=utc_now())
                pending.append(await producer.send(self.prefix + event.topic, value, key=event.key.encode(), headers=headers))
                if len(pending) >= 2_000:
                    await asyncio.gather(*pending)
                    pending.clear()
            await asyncio.gather(*pending)
        finally:
            await producer.stop()


@dataclass
class Bench:
    """What a scenario's `figures(bench)` is given."""

    folder: Path
    postgres: str  # the administrator's URL
    kafka: str
    broker: int  # Kafka's process id
    say: Callable[[str], None] = print

    @asynccontextmanager
    async def platform(self, name: str) -> AsyncIterator[Platform]:
        """Databases, topics and secrets of its own; whatever is started in it ends with it."""
        ports = _free_ports()
        state = State(self.folder / name)
        state.folder.mkdir(mode=0o700)
        state.claim(ports.base)
        keys.make_secrets(state)
        at = plan.Addresses(state, ports, self.kafka, self.postgres, shared=True)
        await preparing.create_databases(at)
        prefix = f"{name}."
        await preparing.create(self.kafka, ((prefix + topic.name, topic.partitions, dict(topic.config)) for topic in TOPICS))
        made = Platform(at, prefix, self.say)
        try:
            yield made
        finally:
            for started in reversed(made.running):
                started.stop()


@contextmanager
def opened(folder: Path, say: Callable[[str], None]) -> Iterator[Bench]:
    """A bench with a PostgreSQL that flushes to disk, as in production, and a Kafka."""
    postgres = Postgres(folder / "postgres", free_port(), "bench")
    kafka = Kafka(folder / "kafka", free_port(), free_port(), heap=1_024, lasting=True)
    with ExitStack() as parts:
        say("starting PostgreSQL and Kafka")
        output = parts.enter_context((folder / "parts.log").open("ab"))
        parts.enter_context(embedded(postgres, output))
        broker = parts.enter_context(embedded(kafka, output))
        aside(broker, COMPILER)
        yield Bench(folder, postgres.url, kafka.bootstrap, broker, say)


def _free_ports() -> Ports:
    mine = os.getpid() % 40 * 100  # another bench on this machine shall not pick the same ones before we listen
    for base in range(FIRST_PORT + mine, 30_000, 100):
        ports = Ports(base)
        if not taken(ports.named()):
            return ports
    raise RuntimeError("no free ports between 21000 and 30000")


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


__all__ = ["SERVICES", "Bench", "Platform", "Running", "opened"]
