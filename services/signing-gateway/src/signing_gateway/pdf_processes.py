"""The processes that work on PDF files: started when needed, one job at a time each, killed when a job takes too long."""

import asyncio
import contextlib
import os
import sys
from typing import TypeVar
from uuid import UUID

import msgspec
from prometheus_client import Counter

from observability import get_logger
from signing_gateway.pdf.jobs import Complete, Completed, Job, NotPossible, Outcome, Prepare, Prepared, Refused
from signing_gateway.places import Places

log = get_logger(__name__)

ENDED = Counter("pdf_processes_ended_total", "Processes that were ended over a document, by fault", ["fault"])
LENGTH_BYTES = 4
MEMORY_MIB = 1024
JOB_S = 20.0
START_S = 30.0
LAST_WORDS_S = 2.0

TOutcome = TypeVar("TOutcome", bound=Prepared | Completed)


class PdfProcesses:
    """At most `most` at once. Who comes when all are busy waits, but one document of one never for a hundred of another."""

    def __init__(self, most: int, *, job_s: float = JOB_S, memory_mib: int = MEMORY_MIB) -> None:
        self._places = Places(most)
        self._idle: list[asyncio.subprocess.Process] = []
        self._job_s, self._memory_mib = job_s, memory_mib
        self._encoder, self._decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Outcome)

    async def prepare(self, job: Prepare, whose: UUID) -> Prepared:
        """The document with a gap for its signature, for this client service. Raises Refused."""
        return await self._done(job, Prepared, whose)

    async def complete(self, job: Complete, whose: UUID) -> Completed:
        """The document with its proofs, for this client service. Raises Refused."""
        return await self._done(job, Completed, whose)

    async def close(self) -> None:
        """Ends the processes; nothing is lost with them."""
        ended, self._idle = self._idle, []
        await asyncio.gather(*map(_end, ended))

    async def _done(self, job: Job, kind: type[TOutcome], whose: UUID) -> TOutcome:
        async with self._places.of(whose):
            process = await self._process()
            try:
                async with asyncio.timeout(self._job_s):
                    outcome = await self._exchanged(process, job)
            except (TimeoutError, OSError, asyncio.IncompleteReadError, msgspec.MsgspecError) as fault:
                ENDED.labels(type(fault).__name__).inc()
                log.warning("a PDF process was ended over a document", fault=type(fault).__name__, exit_code=process.returncode)
                await _end(process)
                raise Refused("takes more time or memory than is given") from None
            except BaseException:
                await _end(process)  # cancelled half-way: what it would answer belongs to nobody
                raise
            self._idle.append(process)
        if isinstance(outcome, NotPossible):
            raise Refused(outcome.rule)
        assert isinstance(outcome, kind)
        return outcome

    async def _process(self) -> asyncio.subprocess.Process:
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "signing_gateway.pdf", str(self._memory_mib)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={"PATH": os.defpath, "PYTHONUNBUFFERED": "1"},  # nothing of ours: no secrets folder, no addresses
        )
        try:
            async with asyncio.timeout(START_S):
                await _heard(process)
        except BaseException:
            await _end(process)
            raise
        return process

    async def _exchanged(self, process: asyncio.subprocess.Process, job: Job) -> Outcome:
        assert process.stdin
        asked = self._encoder.encode(job)
        process.stdin.write(len(asked).to_bytes(LENGTH_BYTES, "big"))
        process.stdin.write(asked)
        await process.stdin.drain()
        outcome: Outcome = self._decoder.decode(await _heard(process))
        return outcome


async def _heard(process: asyncio.subprocess.Process) -> bytes:
    assert process.stdout
    length = int.from_bytes(await process.stdout.readexactly(LENGTH_BYTES), "big")
    return await process.stdout.readexactly(length)


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), LAST_WORDS_S)
