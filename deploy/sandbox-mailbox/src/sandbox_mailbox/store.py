"""The messages that came in, in one SQLite file: what was accepted is on the disk before the sender is told."""

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

Clock = Callable[[], datetime]
Table = Literal["message", "sms"]
SCHEMA = """
CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT, "from" TEXT, "to" TEXT, subject TEXT,
    message_id TEXT, text TEXT, html TEXT);
CREATE TABLE IF NOT EXISTS sms (id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT, "to" TEXT, text TEXT);
"""
ALL = {"message": "SELECT * FROM message", "sms": "SELECT * FROM sms"}
DELETE = {"message": "DELETE FROM message", "sms": "DELETE FROM sms"}
ADD = {
    "message": """INSERT INTO message (at, "from", "to", subject, message_id, text, html)
        VALUES (:at, :from, :to, :subject, :message_id, :text, :html)""",
    "sms": """INSERT INTO sms (at, "to", text) VALUES (:at, :to, :text)""",
}


class Store:
    """Mails and SMS, oldest first. A mail to two people is kept once for each."""

    def __init__(self, file: Path, clock: Clock) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._clock = clock
        self._db = sqlite3.connect(file, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(SCHEMA)

    @property
    def now(self) -> str:
        """RFC 3339 with Z."""
        return self._clock().astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

    def add(self, table: Table, rows: list[dict[str, str]]) -> None:
        """All of them or none, on the disk when it returns."""
        at = self.now
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(ADD[table], [{"at": at, **row} for row in rows])
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def all(self, table: Table, to: str | None = None) -> list[dict[str, Any]]:
        """Everything, or what went to one address or number; addresses are compared without regard to case."""
        only, values = ("", ()) if to is None else (' WHERE lower("to") = lower(?)', (to,))
        return [dict(row) for row in self._db.execute(f"{ALL[table]}{only} ORDER BY id", values)]

    def delete(self, table: Table, to: str | None = None) -> None:
        """The same choice, thrown away."""
        only, values = ("", ()) if to is None else (' WHERE lower("to") = lower(?)', (to,))
        self._db.execute(f"{DELETE[table]}{only}", values)

    def close(self) -> None:
        """Closes the file."""
        self._db.close()
