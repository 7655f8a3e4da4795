"""Small fakes of what the stack runs, and a folder that only its owner can enter."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import certificate_registry.client_ca
from embedded.ports import SPAN
from embedded.state import State, write_json

PACKAGES = (
    "certificate_registry",
    "signing_gateway",
    "grant_monitor",
    "notifier",
    "ca_connector",
    "sandbox_ca",
    "sandbox_mailbox",
)
FAKE = """
import http.server, os, signal, sys

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(CLOCK().isoformat().encode())

def main(clock):
    global CLOCK
    CLOCK = clock
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    port = int(os.environ.get("ADMIN_PORT") or os.environ["LISTEN_PORT"])
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Answer).serve_forever()
"""


@pytest.fixture
def private_folder(tmp_path: Path) -> Path:
    """A folder under one that nobody but its owner can enter."""
    outer = tmp_path / "private"
    outer.mkdir(mode=0o700)
    return outer / "inner"


@pytest.fixture
def state(private_folder: Path) -> State:
    """A state folder that was just claimed."""
    made = State(private_folder)
    with made.locked():
        made.claim(None)
    return made


@pytest.fixture
def fakes(tmp_path: Path) -> Path:
    """Stand-ins for the services and the sandbox parts: healthy at once, and they tell the time of their clock."""
    folder = tmp_path / "fakes"
    for package in PACKAGES:
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").touch()
        (folder / package / "__main__.py").write_text(FAKE)
    # The stack makes its client CA with the registry's own module, which stands alone.
    shutil.copy(Path(certificate_registry.client_ca.__file__), folder / "certificate_registry")
    return folder


@pytest.fixture
def port_base() -> int:
    """A base whose ports are free now: each worker looks in a range of its own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    for base in range(20_000 + worker * 3_000, 23_000 + worker * 3_000, SPAN):
        if all(is_free(base + offset) for offset in range(30)):
            return base
    raise AssertionError("no free ports")


def is_free(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) != 0


Sinete = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def sinete(private_folder: Path, fakes: Path) -> Iterator[Sinete]:
    """Runs `sinete … --state FOLDER` on the fakes, embedded parts and a demo account that is there already."""
    environment = {name: value for name, value in os.environ.items() if name not in {"DATABASE_URL", "KAFKA_BOOTSTRAP"}}
    state = State(private_folder)

    def run(*arguments: str, folder: Path = private_folder, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "embedded", *arguments, "--state", str(folder)],
            env={**environment, "PYTHONPATH": str(fakes), **changes},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    with state.locked():
        state.claim(None)
    write_json(state.demo, {"account_id": "fake"})
    yield run
    if state.is_held():
        run("down")
