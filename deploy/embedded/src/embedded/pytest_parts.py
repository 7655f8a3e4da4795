"""A pytest plugin: a real PostgreSQL and a real Kafka for whoever asks, started once for a run and shared by all its workers.

$DATABASE_URL and $KAFKA_BOOTSTRAP name running ones; otherwise `embedded.parts.holding` starts them when they are first asked
for, from containers or embedded. The run says which, and ends them.
"""

import asyncio
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from embedded.issuing import Authority
from embedded.keeping import tail
from embedded.refusals import CannotStart
from embedded.state import read_json

FOLDER = pytest.StashKey[Path]()
VARIABLES = {"postgres": "DATABASE_URL", "kafka": "KAFKA_BOOTSTRAP"}
WITHIN = 110.0
"""Seconds; downloads the first time included. Under the time-out of a test, so that this message is the one that is seen."""


def is_worker(config: pytest.Config) -> bool:
    """Whether this is a worker of pytest-xdist, not the process that runs the run."""
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    """One folder for the run, made by the controller and told to its workers."""
    if is_worker(config):
        config.stash[FOLDER] = Path(config.workerinput["sinete_parts"])  # type: ignore[attr-defined]  # xdist adds it
    else:
        config.stash[FOLDER] = Path(tempfile.mkdtemp(prefix="sinete-test-parts-"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells a worker of pytest-xdist where the run's folder is, and whose run it is."""
    node.workerinput["sinete_parts"] = str(node.config.stash[FOLDER])
    node.workerinput["sinete_run"] = os.getpid()


def pytest_unconfigure(config: pytest.Config) -> None:
    """The controller ends what was started."""
    folder = config.stash.get(FOLDER, None)
    if folder is None or is_worker(config):
        return
    for part in VARIABLES:
        if pid := read_json(folder / f"{part}.json").get("pid"):
            end(int(pid))
    shutil.rmtree(folder, ignore_errors=True)


def end(pid: int) -> None:
    """Ends a holder and waits for it; it is a child of whichever worker asked first."""
    import psutil  # type: ignore[import-untyped]  # it ships no types

    try:
        holder = psutil.Process(pid)
        if "embedded.parts.holding" in holder.cmdline():
            holder.send_signal(signal.SIGTERM)
            holder.wait(30)
    except psutil.Error:
        return


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says which parts the run used."""
    folder = terminalreporter.config.stash[FOLDER]
    for part, variable in VARIABLES.items():
        source = read_json(folder / f"{part}.json").get("from") or (os.environ.get(variable) and f"${variable}")
        if source:
            terminalreporter.write_line(f"{part}: {source}")


def address(part: str, config: pytest.Config) -> str:
    """Where the part is; started by the first who asks, under a lock that all workers share.

    Raises:
        CannotStart: it does not come up; with the tail of what it said.
    """
    if given := os.environ.get(VARIABLES[part]):
        return given
    folder = config.stash[FOLDER]
    run = config.workerinput["sinete_run"] if is_worker(config) else os.getpid()  # type: ignore[attr-defined]  # xdist adds it
    told = folder / f"{part}.json"
    with (folder / f"{part}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not told.exists():
            start(part, folder, int(run))
    return str(read_json(told)["address"])


def start(part: str, folder: Path, run: int) -> None:
    """Starts a holder and waits for what it tells."""
    log = folder / f"{part}.log"
    with log.open("ab") as output:
        holder = subprocess.Popen(
            [sys.executable, "-m", "embedded.parts.holding", part, str(folder), str(run)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + WITHIN
    while not (folder / f"{part}.json").exists():
        if holder.poll() is not None or time.monotonic() > deadline:
            holder.terminate()
            holder.wait(30)
            raise CannotStart(f"{part} for the tests", tail(log, 15))
        time.sleep(0.05)
    holder.returncode = 0  # it outlives us on purpose; Popen need not warn


@pytest.fixture(scope="session")
def database_url(request: pytest.FixtureRequest) -> str:
    """The administrator's URL of a real PostgreSQL: it may create databases and roles."""
    return address("postgres", request.config)


@pytest.fixture(scope="session")
def kafka_bootstrap(request: pytest.FixtureRequest) -> str:
    """host:port of a real Kafka."""
    return address("kafka", request.config)


@pytest.fixture
def fresh_database(database_url: str) -> Iterator[str]:
    """The URL of an empty database of the test's own; dropped afterwards, whoever is still connected."""
    name = f"test_{uuid4().hex}"
    in_thread(execute(database_url, f'CREATE DATABASE "{name}"'))
    yield urlsplit(database_url)._replace(path=f"/{name}").geturl()
    in_thread(execute(database_url, f'DROP DATABASE "{name}" WITH (FORCE)'))


async def execute(url: str, statement: str) -> None:
    """Runs one statement."""
    import asyncpg

    connection = await asyncpg.connect(url, timeout=30)
    try:
        await connection.execute(statement, timeout=60)
    finally:
        await connection.close(timeout=10)


def in_thread(work: Coroutine[Any, Any, None]) -> None:
    """Runs a coroutine in a loop of its own, whatever loop the test has."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


@pytest.fixture(scope="session")
def an_authority() -> type[Authority]:
    """Makes X.509 authorities that issue TLS certificates: `an_authority("name").issue("client")`."""
    return Authority
