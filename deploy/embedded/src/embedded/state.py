"""The state folder: everything a stack remembers, and the lock that says who runs it."""

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from embedded.ports import DEFAULT_BASE
from embedded.refusals import AlreadyRunning, StateUnusable

FILES = ("stack.json", "supervisor.json", "demo.json", "clock", "lock", "prepared")
FOLDERS = ("logs", "secrets", "clock.acks", "postgres", "kafka", "mailbox", "sandbox-ca")
OWN = {*FILES, *FOLDERS, *(f"{name.partition('.')[0]}.new" for name in FILES)}
"""All that is ever in a state folder."""


@dataclass(frozen=True)
class State:
    """A state folder; nothing is made before `claim`."""

    folder: Path

    @property
    def stack_file(self) -> Path:
        """What was decided when the folder was made: the stack's id and port base."""
        return self.folder / "stack.json"

    @property
    def supervisor_file(self) -> Path:
        """Who supervises, where its control API is and the token for it."""
        return self.folder / "supervisor.json"

    @property
    def clock(self) -> Path:
        """The clock's offset."""
        return self.folder / "clock"

    @property
    def clock_acks(self) -> Path:
        """Where processes confirm a move of the clock."""
        return self.folder / "clock.acks"

    @property
    def prepared(self) -> Path:
        """There once databases and topics are, for which the services wait."""
        return self.folder / "prepared"

    @property
    def demo(self) -> Path:
        """What the seeder made: ids, tokens, passwords of the demo account."""
        return self.folder / "demo.json"

    def secrets(self, process: str) -> Path:
        """The secret files of one process."""
        return self.folder / "secrets" / process

    @property
    def service_keys(self) -> Path:
        """The JWKS file with the public keys of all services (RFC 8037; kid = service name)."""
        return self.folder / "secrets" / "service-keys.json"

    def log(self, process: str) -> Path:
        """What one process says."""
        return self.folder / "logs" / f"{process}.log"

    def logged(self) -> list[str]:
        """The processes that have said something."""
        return sorted(path.stem for path in (self.folder / "logs").glob("*.log"))

    def exists(self) -> bool:
        """Whether a stack has ever begun here."""
        return self.stack_file.exists()

    def has_begun(self) -> bool:
        """Whether anything ever ran here; addresses are in databases from then on, so ports stay."""
        return self.service_keys.exists()

    def stack(self) -> dict[str, Any]:
        """`{"id", "port_base"}`.

        Raises:
            StateUnusable: the file cannot be read.
        """
        content = read_json(self.stack_file)
        if not (isinstance(content.get("id"), str) and isinstance(content.get("port_base"), int)):
            raise StateUnusable(f"{self.stack_file} is damaged. `sinete reset --state {self.folder}` begins again.")
        return content

    def marker(self) -> str:
        """What the environment of every process of this stack carries as SINETE_STACK; a copied folder has another one."""
        return f"{self.stack()['id']}:{self.folder.resolve()}"

    def claim(self, port_base: int | None) -> int:
        """Makes the folder, or takes up the one that is there, and returns its port base.

        Raises:
            StateUnusable: it is not ours, damaged, not writable, or belongs to another port base.
        """
        try:
            if not self.exists():
                self.make(DEFAULT_BASE if port_base is None else port_base)
            if port_base is not None and not self.has_begun():
                write_json(self.stack_file, self.stack() | {"port_base": port_base})
            remembered: int = self.stack()["port_base"]
            if port_base is not None and port_base != remembered:
                raise StateUnusable(
                    f"The stack in {self.folder} has port base {remembered}, not {port_base}. "
                    "Leave --port-base out, name another --state, or begin again with `sinete reset`."
                )
            for name in ("logs", "secrets", "clock.acks"):
                (self.folder / name).mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise StateUnusable(f"The state folder {self.folder} cannot be used: {error.strerror or error}") from error
        return remembered

    def refuse_strangers(self) -> None:
        """Leaves a folder alone that is not ours, and one whose stack.json was lost.

        Raises:
            StateUnusable: it is one of these, or no folder.
        """
        try:
            found = {path.name for path in self.folder.iterdir()} if self.folder.exists() else set()
        except OSError as error:
            raise StateUnusable(f"The state folder {self.folder} cannot be used: {error.strerror}") from error
        if self.exists():
            return
        if strangers := sorted(found - OWN):
            raise StateUnusable(f"{self.folder} is no state folder of sinete (it holds {strangers[0]}): name another --state")
        if found - {"lock", "logs", "stack.new"}:
            raise StateUnusable(
                f"{self.folder} is half-written: stack.json is missing. `sinete reset --state {self.folder}` begins again."
            )

    def make(self, port_base: int) -> None:
        """A new folder."""
        self.folder.chmod(0o700)
        write_json(self.stack_file, {"id": secrets.token_hex(8), "port_base": port_base})

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for one supervisor; the kernel lets go of it however that one ends.

        Raises:
            AlreadyRunning: another one holds it.
        """
        self.refuse_strangers()
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = (self.folder / "lock").open("a")
        except OSError as error:
            raise StateUnusable(f"The state folder {self.folder} cannot be used: {error.strerror}") from error
        with file:
            if not lock(file):
                raise AlreadyRunning(
                    f"The stack in {self.folder} is running already: see `sinete status`, end it with `sinete down`"
                )
            yield

    def is_held(self) -> bool:
        """Whether a supervisor holds the folder now."""
        try:
            with (self.folder / "lock").open("r") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


def lock(file: IO[str]) -> bool:
    """Locks the file for us alone. Tried for a moment, since whoever asks `is_held` locks it for an instant."""
    for _ in range(20):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.02)
    return False


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; empty when it is missing, unreadable or no object."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a JSON file for our eyes only, in one step: never half of it."""
    write_private(path, json.dumps(content, indent=1).encode() + b"\n")


def write_private(path: Path, content: bytes) -> None:
    """Writes a 0600 file in one step."""
    half = path.with_suffix(".new")
    half.unlink(missing_ok=True)
    handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)
