"""What became of each file, kept beside the outputs, so that an interrupted batch goes on where it stopped.

Append-only JSON lines; the newest line of a file counts. A file's idempotency key is on disk before the gateway is asked, so
that whoever resumes asks under the same key and gets the same signature, counted once.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from sinete_client.refusals import Misused

NAME = ".sinete-sign.jsonl"


@dataclass(frozen=True)
class Entry:
    """`order` says what was to be done with the file: another order is another signature, under another key."""

    file: str
    order: str
    key: str
    state: Literal["asked", "signed", "failed"]
    output_sha256: str | None = None
    why: str | None = None


class Journal:
    """The journal of one output folder. Raises Misused when it cannot be written or another process writes it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        except OSError as fault:
            raise Misused(f"{self.path}: {fault.strerror}") from None
        self._hold()
        self._newest = {entry.file: entry for entry in self._read()}

    def _hold(self) -> None:
        import fcntl

        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise Misused(f"{self.path.parent}: another sinete sign is at work in this folder; wait for it") from None

    def _read(self) -> list[Entry]:
        """Every whole line; the last may have been cut by a crash."""
        found = []
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                found.append(Entry(**json.loads(line)))
            except (ValueError, TypeError):
                continue
        return found

    def newest(self, file: str, order: str) -> Entry | None:
        """The newest of this file under this very order."""
        entry = self._newest.get(file)
        return entry if entry is not None and entry.order == order else None

    def write(self, entry: Entry) -> None:
        """Returns when it is on disk."""
        os.write(self._file, json.dumps(asdict(entry)).encode() + b"\n")
        os.fsync(self._file)
        self._newest[entry.file] = entry

    def close(self, *, done: bool) -> None:
        """`done`: nothing is left to resume, so the journal is not needed any more."""
        if done:
            self.path.unlink(missing_ok=True)
        os.close(self._file)
