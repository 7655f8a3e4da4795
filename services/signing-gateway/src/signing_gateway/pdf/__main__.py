"""`python -m signing_gateway.pdf MEMORY_MIB`: reads jobs from stdin and writes outcomes to stdout until stdin ends.

Each message is its length in four bytes, then MessagePack. The first outcome is empty: ready. Memory is bounded by the kernel,
time by whoever asks.
"""

import resource
import signal
import sys
from typing import BinaryIO

import msgspec

from signing_gateway.pdf.jobs import Job, NotPossible, Outcome, Prepare, Refused
from signing_gateway.pdf.preparing import complete, prepare

LENGTH_BYTES = 4
MIB = 1024 * 1024


def main(memory_mib: int) -> None:
    """Serves until stdin ends. Ctrl-C is for the parent, who closes stdin."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_AS, (memory_mib * MIB, memory_mib * MIB))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    decoder, encoder = msgspec.msgpack.Decoder(Job), msgspec.msgpack.Encoder()
    jobs, outcomes = sys.stdin.buffer, sys.stdout.buffer
    _tell(outcomes, b"")  # ready
    while (content := _message(jobs)) is not None:
        _tell(outcomes, encoder.encode(_done(decoder.decode(content))))


def _message(jobs: BinaryIO) -> bytes | None:
    length = jobs.read(LENGTH_BYTES)
    if len(length) < LENGTH_BYTES:
        return None
    content = jobs.read(int.from_bytes(length, "big"))
    return content if len(content) == int.from_bytes(length, "big") else None


def _tell(outcomes: BinaryIO, content: bytes) -> None:
    outcomes.write(len(content).to_bytes(LENGTH_BYTES, "big"))
    outcomes.write(content)
    outcomes.flush()


def _done(job: Job) -> Outcome:
    try:
        return prepare(job) if isinstance(job, Prepare) else complete(job)
    except Refused as rule:
        return NotPossible(str(rule))


if __name__ == "__main__":
    main(int(sys.argv[1]))
