"""Second instances of services beside those of a running stack, on other ports, for tests."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from embedded import plan
from embedded.ports import Ports
from embedded.stack import Stack
from embedded.state import State

SHIFT = 40
"""How far a second instance's ports lie from the first's."""
GRACE_S = 15


@contextmanager
def beside(stack: Stack, services: Mapping[str, Mapping[str, str]]) -> Iterator[None]:
    """Runs one of each with the first one's settings but for its ports and what is given here; they may still be starting."""
    status, ports = stack.status, Ports(stack.port_base)
    at = plan.Addresses(State(stack.state), ports, status["kafka"]["bootstrap"], status["postgres"]["url"])
    running: list[subprocess.Popen[bytes]] = []
    try:
        for service, settings in services.items():
            launch = plan.movable(at, service)
            own = {"LISTEN_PORT": str(ports.of(service) + SHIFT), "ADMIN_PORT": str(ports.admin(service) + SHIFT), **settings}
            if service == "signing-gateway":
                own = {"TLS_PORT": str(ports.of("signing-gateway-https") + SHIFT), **own}
            with (stack.state / "logs" / f"{service}-2.log").open("ab") as log:
                command, environment = launch.command(), launch.environment() | own
                running.append(subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        yield
    finally:
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def url(stack: Stack, service: str) -> str:
    """Where the second instance listens."""
    return f"http://127.0.0.1:{Ports(stack.port_base).of(service) + SHIFT}"
