"""The ground truth: every signature ever made here, a JSON line each, on the disk before any answer leaves."""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

Entry = dict[str, str]


class Journal:
    """Append-only. A line that a crash tore is dropped at the next start: its signature never left either."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        content = file.read_bytes() if file.exists() else b""
        self._size = content.rfind(b"\n") + 1
        self.entries: list[Entry] = [json.loads(line) for line in content[: self._size].splitlines()]
        self._file = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
        os.ftruncate(self._file, self._size)
        self._waiting: list[tuple[Sequence[Entry], asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def add(self, entries: Sequence[Entry]) -> None:
        """Returns when the entries are on the disk; calls that come during a write share the next one's fsync."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entries, written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())
        await written

    async def _write_all(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            entries = [entry for group, _ in batch for entry in group]
            try:
                await asyncio.to_thread(self._write, b"".join(json.dumps(entry).encode() + b"\n" for entry in entries))
            except OSError as failure:
                for _, written in batch:
                    if not written.done():
                        written.set_exception(failure)
                continue
            self.entries.extend(entries)
            for _, written in batch:
                if not written.done():
                    written.set_result(None)

    def _write(self, lines: bytes) -> None:
        """Writes at the end of what is known to be whole, so that a write that failed half-way leaves nothing behind."""
        os.ftruncate(self._file, self._size)
        done = 0
        while done < len(lines):
            done += os.pwrite(self._file, lines[done:], self._size + done)
        os.fsync(self._file)
        self._size += len(lines)

    def close(self) -> None:
        """Closes the file."""
        os.close(self._file)
