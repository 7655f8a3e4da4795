"""Holds one part for a run of tests: `python -m embedded.parts.holding PART FOLDER PID`, PART being postgres or kafka.

Starts it from a container where a Docker engine answers and has or gets the image, else embedded; writes FOLDER/PART.json
(`{"address", "from", "pid"}`) once it takes requests; ends it at SIGTERM, or when the process PID (the test run) is gone.
"""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import IO

import psutil  # type: ignore[import-untyped]  # it ships no types

from embedded.parts import images
from embedded.parts import kafka as kafka_part
from embedded.parts import postgres as postgres_part
from embedded.parts.kafka import Kafka
from embedded.parts.postgres import Postgres
from embedded.refusals import CannotStart
from embedded.state import write_json

WITHIN = 60.0
PORTS = range(30_000, 32_700)
PASSWORD = "sinete"  # noqa: S105  (of a database that lives for one run of tests, on this machine alone)


def free_port() -> int:
    """A port nobody listens on now, and that no outgoing connection is given meanwhile: Linux gives those from 32768 on."""
    for port in random.sample(PORTS, len(PORTS)):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise RuntimeError(f"no free port from {PORTS.start} to {PORTS.stop - 1}")


def wait_for(answers: Callable[[], bool], alive: Callable[[], bool], what: str) -> None:
    """Returns when it answers.

    Raises:
        CannotStart: it ended, or took longer than a minute.
    """
    deadline = time.monotonic() + WITHIN
    while not answers():
        if not alive():
            raise CannotStart(what, "it ended")
        if time.monotonic() > deadline:
            raise CannotStart(what, f"it does not answer after {WITHIN:.0f} s")
        time.sleep(0.05)


@contextmanager
def embedded(part: Postgres | Kafka, output: IO[bytes] | None = None) -> Iterator[int]:
    """The part as a process of our session, whose id it gives; what it says goes to `output`, or to where ours goes."""
    part.prepare()
    launch = part.launch()
    with subprocess.Popen(
        launch.command(),
        env=launch.environment(),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
    ) as process:
        try:
            wait_for(part.answers, lambda: process.poll() is None, type(part).__name__)
            yield process.pid
        finally:
            process.send_signal(launch.stop_signal)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def embedded_part(name: str, folder: Path) -> Iterator[tuple[str, str]]:
    """The part embedded, with its address and where it comes from. A port may be lost to somebody else: tried three times."""
    for attempt in range(1, 4):
        place, port = folder / f"{name}-{attempt}", free_port()
        part = Postgres(place, port, PASSWORD, durable=False) if name == "postgres" else Kafka(place, port, free_port())
        with ExitStack() as opened:
            try:
                opened.enter_context(embedded(part))
            except CannotStart:
                if attempt == 3:
                    raise
                continue
            yield (part.url if isinstance(part, Postgres) else part.bootstrap), "embedded"
            return


def engine_has(image: str) -> bool:
    """Whether a Docker engine answers and has, or gets, the image."""
    try:
        import docker  # type: ignore[import-untyped]  # it ships no types
        from docker.errors import DockerException, ImageNotFound  # type: ignore[import-untyped]  # it ships no types

        try:
            client = docker.from_env(timeout=5)
        except DockerException:
            return False
        with client_closed(client):
            try:
                client.images.get(image)
            except ImageNotFound:
                print(f"pulling {image}")
                docker.from_env(timeout=120).images.pull(image)
    except Exception as error:  # noqa: BLE001  (whatever is wrong with Docker, the embedded part does)
        print(f"no container: {type(error).__name__}: {error}")
        return False
    return True


@contextmanager
def client_closed(client: object) -> Iterator[None]:
    """Closes a Docker client afterwards."""
    try:
        yield
    finally:
        client.close()  # type: ignore[attr-defined]  # docker ships no types


@contextmanager
def container_part(name: str) -> Iterator[tuple[str, str]]:
    """The part in a container, with its address and image. This process removes it, so no reaper is needed."""
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.core.container import DockerContainer

    if name == "postgres":
        image, inner, answers, form = (
            images.POSTGRES,
            5432,
            postgres_part.answers,
            f"postgresql://sinete:{PASSWORD}@{{}}/postgres",
        )
        environment = {"POSTGRES_USER": "sinete", "POSTGRES_PASSWORD": PASSWORD}
        command = ["postgres", "-c", "fsync=off", "-c", "max_connections=300"]
    else:
        image, inner, answers, form = images.KAFKA, 9092, kafka_part.answers, "{}"
        environment, command = kafka_environment(), ["sh", "-c", ADVERTISE_FIRST]
    with DockerContainer(image, env=environment, ports=[inner]).with_command(command) as container:
        host, port = container.get_container_host_ip(), int(container.get_exposed_port(inner))
        container.exec(["sh", "-c", f"echo {host}:{port} > /tmp/address"])
        wait_for(lambda: answers(host, port), lambda: True, image)
        yield form.format(f"{host}:{port}"), f"container {image}"


ADVERTISE_FIRST = (
    "until [ -s /tmp/address ]; do sleep 0.1; done; "
    "export KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://$(cat /tmp/address); exec /etc/kafka/docker/run"
)
"""The broker has to know the address under which clients see it, and Docker says that only once the container runs."""


def kafka_environment() -> dict[str, str]:
    """The embedded broker's properties as apache/kafka's image takes them, without the address that clients see."""
    lines = kafka_part.PROPERTIES.format(port=9092, controller_port=9093, logs="/tmp/kafka-logs").splitlines()  # noqa: S108  (inside the container)
    told = dict(line.split("=", 1) for line in lines)
    told["listeners"] = "PLAINTEXT://0.0.0.0:9092,CONTROLLER://127.0.0.1:9093"
    told["controller.quorum.voters"] = "1@127.0.0.1:9093"
    del told["controller.quorum.bootstrap.servers"], told["advertised.listeners"]
    return {"KAFKA_" + name.upper().replace(".", "_"): value for name, value in told.items()}


@contextmanager
def held(name: str, folder: Path) -> Iterator[tuple[str, str]]:
    """The part, from wherever it can be had."""
    image = images.POSTGRES if name == "postgres" else images.KAFKA
    with ExitStack() as opened:
        if engine_has(image):
            try:
                yield opened.enter_context(container_part(name))
            except CannotStart as error:
                print(f"{error}; the embedded part is used")
            else:
                return
        yield opened.enter_context(embedded_part(name, folder))


def main() -> None:
    """See the module."""
    name, folder, run = sys.argv[1], Path(sys.argv[2]), psutil.Process(int(sys.argv[3]))
    told = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        told.set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    with held(name, folder) as (address, source):
        write_json(folder / f"{name}.json", {"address": address, "from": source, "pid": os.getpid()})
        # psutil compares the start time too, so a new process with the run's pid is not taken for it.
        while run.is_running() and not told.wait(0.5):
            pass


if __name__ == "__main__":
    main()
