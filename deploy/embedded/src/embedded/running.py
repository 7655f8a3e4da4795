"""`sinete up`: the supervisor in the foreground, or started as a process of its own and waited for."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from embedded import clock, leftovers
from embedded.asking import ask
from embedded.display import Display
from embedded.keeping import tail
from embedded.ports import Ports, taken
from embedded.refusals import AlreadyRunning, CannotStart, PortTaken, Refusal
from embedded.state import State

PATIENCE = 5.0
DETACHED_WITHIN = 600.0
"""Seconds for the whole start, downloads included."""


def supervise(state: State, port_base: int | None, *, into_log: bool) -> int:
    """Runs the stack until Ctrl-C, SIGTERM or `sinete down`. The exit code: 0 unless it was stopped before all was healthy.

    `into_log`: what it says is kept in a log, where the demo account's secrets have no place.
    """
    display = Display()
    with state.locked():
        base = state.claim(port_base)
        for process in leftovers.end_leftovers(state.marker()):
            display.say(f"ended what a killed supervisor had left behind: {process}")
        crashed = state.supervisor_file.exists()
        state.supervisor_file.unlink(missing_ok=True)
        clock.create(state.clock)
        shutil.rmtree(state.clock_acks, ignore_errors=True)
        state.clock_acks.mkdir(mode=0o700)
        ports = Ports(base)
        if occupied := still_taken(ports.named(without=elsewhere(os.environ)), PATIENCE if crashed else 0):
            raise PortTaken(occupied, base, begun=state.has_begun())
        return asyncio.run(run(state, ports, display, into_log=into_log))


def still_taken(ports: dict[str, int], within: float) -> dict[str, int]:
    """Those that somebody still listens on after `within` seconds: what a killed supervisor started may be just ending."""
    deadline = time.monotonic() + within
    while (occupied := taken(ports)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return occupied


def elsewhere(environ: Mapping[str, str]) -> list[str]:
    """The parts that the environment says run elsewhere."""
    own = {"DATABASE_URL": ("postgres",), "KAFKA_BOOTSTRAP": ("kafka", "kafka-controller")}
    return [part for variable, parts in own.items() if environ.get(variable) for part in parts]


async def run(state: State, ports: Ports, display: Display, *, into_log: bool) -> int:
    """Brings the stack up, keeps it until it is told to stop, takes it down."""
    from embedded.control import serving
    from embedded.supervisor import Stack

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    stack = Stack(state, ports, display.say)
    async with serving(stack, stop):
        told = asyncio.create_task(stop.wait())
        coming = asyncio.create_task(stack.up())
        try:
            with display.following(stack):
                await asyncio.wait({told, coming}, return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                coming.result()
                if into_log:
                    display.say("ready")
                else:
                    display.ready(stack.status())
                await told
            return 0 if stack.phase == "ready" else 1
        finally:
            display.say("stopping")
            stack.stopping = True
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
            await stack.down()
            told.cancel()
            display.say(f"stopped; everything is kept in {state.folder}")


def detach(state: State, port_base: int | None) -> None:
    """Starts the supervisor as a process of its own, on files only, and returns when all is healthy.

    Raises:
        CannotStart: it did not come up; nothing of it is left running.
    """
    if state.is_held():
        raise AlreadyRunning(f"The stack in {state.folder} is running already: see `sinete status`, end it with `sinete down`")
    state.refuse_strangers()
    log = state.log("supervisor")
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    began = log.stat().st_size if log.exists() else 0
    base = [] if port_base is None else ["--port-base", str(port_base)]
    display = Display(stderr=True)
    with log.open("ab") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "embedded", "up", "--into-log", "--state", str(state.folder), *base],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
        )
    try:
        status = wait_until_ready(state, supervisor, began)
    except BaseException:
        supervisor.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            supervisor.wait(60)
        raise
    # It is meant to outlive this process.
    supervisor.returncode = 0
    with contextlib.suppress(OSError):
        display.ready(status)


def wait_until_ready(state: State, supervisor: "subprocess.Popen[bytes]", began: int) -> dict[str, Any]:
    """Shows what the supervisor says until it is ready, and returns its status."""
    log, shown = state.log("supervisor"), began
    deadline = time.monotonic() + DETACHED_WITHIN
    while True:
        ended = supervisor.poll() is not None
        with log.open("rb") as said:
            said.seek(shown)
            text = said.read()
        shown += len(text)
        with contextlib.suppress(OSError):  # whoever listened may have heard enough
            sys.stderr.write(text.decode(errors="replace"))
            sys.stderr.flush()
        if ended:
            raise Refusal(f"Not started. All it said is in {log}")
        with contextlib.suppress(Refusal):
            status = ask(state, "/status")
            ready = {"pid": supervisor.pid, "phase": "ready", "port_base": state.stack()["port_base"]}
            if status["supervisor"] == ready:
                return status
        if time.monotonic() > deadline:
            raise CannotStart("The stack", f"it is not ready after {DETACHED_WITHIN:.0f} s. {tail(log, 15)}")
        time.sleep(0.1)


def down(state: State) -> None:
    """Tells the supervisor to stop and returns when everything has ended."""
    ask(state, "/down", {})
    deadline = time.monotonic() + 60
    while state.is_held():
        if time.monotonic() > deadline:
            raise CannotStart("`sinete down`", f"the stack is still stopping after 60 s: see {state.log('supervisor')}")
        time.sleep(0.05)
