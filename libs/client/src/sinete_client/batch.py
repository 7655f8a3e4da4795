"""Many files: each signed on its own under a key of its own, so that one that fails spoils no other."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

from sinete_client.clients import AsyncClient
from sinete_client.journal import Entry, Journal
from sinete_client.messages import Appearance, Level
from sinete_client.refusals import (
    Misused,
    NotAuthenticated,
    NotPermitted,
    OutcomeUnknown,
    Refused,
    SineteError,
    TryAgainLater,
)

LARGEST_PDF = 100 * 1024 * 1024
CHUNK = 1024 * 1024


@dataclass(frozen=True)
class How:
    """What is done with each file. `detached`: a CAdES signature beside the file, for PDFs too."""

    credential_id: str
    level: Level = "B-B"
    appearance: Appearance | None = None
    detached: bool = False


@dataclass(frozen=True)
class Job:
    """One file and where its signature goes: a signed copy of a PDF, a `.p7s` beside anything else."""

    file: Path
    output: Path
    kind: Literal["pdf", "detached"]


@dataclass(frozen=True)
class Outcome:
    """What became of a file. `resumed`: it was signed by an earlier, interrupted run."""

    job: Job
    state: Literal["signed", "failed", "left"]
    why: str = ""
    resumed: bool = False


def jobs_for(files: Sequence[Path], folder: Path | None, *, detached: bool) -> list[Job]:
    """A job for each file. Raises Misused that names the file: not there, no file, given twice, or two with one output."""
    jobs: dict[Path, Job] = {}
    for file in files:
        if not file.is_file():
            raise Misused(f"{file}: {'is a folder' if file.is_dir() else 'no such file'}")
        pdf = not detached and _is_pdf(file)
        name = f"{file.stem}.signed.pdf" if pdf else f"{file.name}.p7s"
        job = Job(file, (folder or file.parent) / name, "pdf" if pdf else "detached")
        if job.output in jobs:
            raise Misused(f"{file}: its output {job.output} would be that of {jobs[job.output].file} too")
        jobs[job.output] = job
    return list(jobs.values())


def _is_pdf(file: Path) -> bool:
    """By what it begins with, as readers do (ISO 32000-2 §7.5.2), not by its name."""
    with file.open("rb") as opened:
        return b"%PDF-" in opened.read(1024)


class Batch:
    """Signs jobs, at most `at_once` at a time. `overwrite`: outputs that are there already are replaced."""

    def __init__(self, client: AsyncClient, how: How, *, at_once: int = 4, overwrite: bool = False) -> None:
        self._client, self._how, self._overwrite = client, how, overwrite
        self._turns = asyncio.Semaphore(at_once)
        self._hopeless: str | None = None  # a refusal that the next file would meet too

    @asynccontextmanager
    async def run(self, jobs: Sequence[Job]) -> AsyncIterator[AsyncIterator[Outcome]]:
        """Outcomes as they come. Leaving the block early stops what has not begun; what was asked is resumed by the next run."""
        journals: dict[Path, Journal] = {}
        tasks: list[asyncio.Task[Outcome]] = []
        outcomes: list[Outcome] = []

        async def each() -> AsyncIterator[Outcome]:
            for done in asyncio.as_completed(tasks):
                outcomes.append(await done)
                yield outcomes[-1]

        try:
            for folder in {job.output.parent for job in jobs}:
                journals[folder] = Journal(folder)
            tasks = [asyncio.create_task(self._one(job, journals[job.output.parent])) for job in jobs]
            yield each()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            done = len(outcomes) == len(jobs) and all(outcome.state == "signed" for outcome in outcomes)
            for journal in journals.values():
                journal.close(done=done)

    async def _one(self, job: Job, journal: Journal) -> Outcome:
        async with self._turns:
            try:
                return await self._signed(job, journal)
            except SineteError as fault:
                if isinstance(fault, NotPermitted | NotAuthenticated):
                    self._hopeless = str(fault)
                return Outcome(job, "failed", str(fault))
            except OSError as fault:
                return Outcome(job, "failed", f"{fault.filename or job.file}: {fault.strerror}")

    async def _signed(self, job: Job, journal: Journal) -> Outcome:
        digest = await asyncio.to_thread(_sha256, job.file)
        order = hashlib.sha256(repr((digest.hex(), job.kind, self._how)).encode()).hexdigest()
        name = str(job.file.resolve())
        before = journal.newest(name, order)
        if before and before.state == "signed" and _has(job.output, before.output_sha256):
            return Outcome(job, "signed", resumed=True)
        if self._hopeless is not None:
            return Outcome(job, "left", self._hopeless)
        resumes = before is not None and before.state == "asked"
        if job.output.exists() and not self._overwrite and not resumes:
            raise Misused(f"{job.output} is there already: move it away, or say --overwrite")
        key = before.key if before is not None and resumes else uuid4().hex
        journal.write(Entry(name, order, key, "asked"))
        try:
            made = await self._asked(job, digest, key)
        except Refused as fault:
            # What passes by itself is asked again under its key: an attempt before may have signed and its answer was lost.
            if not isinstance(fault, OutcomeUnknown | TryAgainLater):
                journal.write(Entry(name, order, key, "failed", why=str(fault)))
            raise
        await asyncio.to_thread(_put, job.output, made)
        journal.write(Entry(name, order, key, "signed", hashlib.sha256(made).hexdigest()))
        return Outcome(job, "signed", resumed=resumes)

    async def _asked(self, job: Job, digest: bytes, key: str) -> bytes:
        how = self._how
        if job.kind == "detached":
            return (await self._client.sign_detached(how.credential_id, [digest], level=how.level, idempotency_key=key))[0]
        if job.file.stat().st_size > LARGEST_PDF:
            raise Misused(f"{job.file}: larger than {LARGEST_PDF // CHUNK} MiB; sign it with --detached")
        pdf = await asyncio.to_thread(job.file.read_bytes)
        shown = {"level": how.level, "appearance": how.appearance}
        return (await self._client.sign_pdfs(how.credential_id, [pdf], **shown, idempotency_key=key))[0]  # type: ignore[arg-type] # a literal in a dict


def _sha256(file: Path) -> bytes:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").digest()


def _has(output: Path, sha256: str | None) -> bool:
    return output.is_file() and _sha256(output).hex() == sha256


def _put(output: Path, content: bytes) -> None:
    """The whole output or none: a crash leaves no half a file under its name."""
    part = output.with_name(f".{output.name}.part")
    with part.open("wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    part.replace(output)
