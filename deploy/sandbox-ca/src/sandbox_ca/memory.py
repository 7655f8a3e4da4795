"""What the CA remembers over restarts: walks, token families, SADs, one-time passwords, locks. One SQLite file.

A *family* is what one walk of a person gave the platform: all tokens refreshed from it belong to it. Secrets are kept as digests.
"""

import hashlib
import json
import secrets
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["code", "access", "refresh"]

SCHEMA = """
CREATE TABLE IF NOT EXISTS walk (id TEXT PRIMARY KEY, ca TEXT, asked TEXT, step TEXT, person TEXT, attempts INTEGER,
  expires REAL);
CREATE TABLE IF NOT EXISTS family (id INTEGER PRIMARY KEY, ca TEXT, person TEXT, revoked INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS token (digest TEXT PRIMARY KEY, kind TEXT, family INTEGER, expires REAL,
  used INTEGER DEFAULT 0, bound TEXT);
CREATE TABLE IF NOT EXISTS used_for (family INTEGER, credential TEXT, PRIMARY KEY (family, credential));
CREATE TABLE IF NOT EXISTS withdrawn (credential TEXT PRIMARY KEY, up_to_family INTEGER);
CREATE TABLE IF NOT EXISTS sad (digest TEXT PRIMARY KEY, credential TEXT, family INTEGER, left INTEGER, expires REAL);
CREATE TABLE IF NOT EXISTS otp (scope TEXT PRIMARY KEY, digest TEXT, expires REAL, attempts INTEGER);
CREATE TABLE IF NOT EXISTS revoked_certificate (credential TEXT PRIMARY KEY, at REAL);
CREATE TABLE IF NOT EXISTS wrong_pins (person TEXT PRIMARY KEY, count INTEGER);
"""


def digest(secret: str) -> str:
    """How a secret is kept."""
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass(frozen=True)
class Token:
    """A token that was found: whose, until when, and what it is bound to."""

    family: int
    ca: str
    person: str
    expires: float
    used: bool
    revoked: bool
    bound: dict[str, Any]


class Memory:
    """Every change is committed before the call returns. Instants are seconds since the epoch, by the caller's clock."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(file, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=NORMAL")  # outlives any kill of the process, which is what is promised
        self.db.executescript(SCHEMA)

    def close(self) -> None:
        """Closes the file."""
        self.db.close()

    def _one(self, sql: str, *values: Any) -> sqlite3.Row | None:
        row: sqlite3.Row | None = self.db.execute(sql, values).fetchone()
        return row

    # Certificates

    def revoke_certificate(self, credential: str, at: float) -> None:
        """The certificate is revoked from `at` on; a second time changes nothing."""
        self.db.execute("INSERT INTO revoked_certificate VALUES (?, ?) ON CONFLICT DO NOTHING", (credential, at))

    def revoked_certificates(self) -> dict[str, float]:
        """Since when, by credential."""
        return {row["credential"]: row["at"] for row in self.db.execute("SELECT * FROM revoked_certificate")}

    # Walks

    def begin_walk(self, ca: str, asked: dict[str, str], expires: float) -> str:
        """A new walk at its first step; its unguessable id."""
        walk = secrets.token_urlsafe(24)
        self.db.execute("INSERT INTO walk VALUES (?, ?, ?, 'login', NULL, 0, ?)", (walk, ca, json.dumps(asked), expires))
        return walk

    def walk(self, walk: str) -> dict[str, Any] | None:
        """The walk as it stands."""
        row = self._one("SELECT * FROM walk WHERE id = ?", walk)
        return {**dict(row), "asked": json.loads(row["asked"])} if row else None

    def step(self, walk: str, step: str, person: str | None = None) -> None:
        """The walk goes on."""
        self.db.execute("UPDATE walk SET step = ?, person = coalesce(?, person) WHERE id = ?", (step, person, walk))

    def end_walk(self, walk: str) -> None:
        """The walk is over."""
        self.db.execute("DELETE FROM walk WHERE id = ?", (walk,))
        self.db.execute("DELETE FROM otp WHERE scope = ?", (walk,))

    def count_login(self, walk: str) -> int:
        """Counts an attempt before it is checked; how many there were."""
        self.db.execute("UPDATE walk SET attempts = attempts + 1 WHERE id = ?", (walk,))
        row = self._one("SELECT attempts FROM walk WHERE id = ?", walk)
        return int(row["attempts"]) if row else 99

    # One-time passwords and PINs

    def put_otp(self, scope: str, otp: str, expires: float) -> None:
        """A new password for `scope`; the attempts already made stay counted."""
        values = (scope, digest(otp), expires, self.otp_attempts(scope))
        self.db.execute("INSERT OR REPLACE INTO otp VALUES (?, ?, ?, ?)", values)

    def otp_attempts(self, scope: str) -> int:
        """How many attempts were made since the last success."""
        row = self._one("SELECT attempts FROM otp WHERE scope = ?", scope)
        return int(row["attempts"]) if row else 0

    def attempt_otp(self, scope: str) -> tuple[str, float, int] | None:
        """Counts an attempt before it is checked: the digest to compare, its end, how many attempts there were."""
        self.db.execute("UPDATE otp SET attempts = attempts + 1 WHERE scope = ?", (scope,))
        row = self._one("SELECT * FROM otp WHERE scope = ?", scope)
        return (row["digest"], row["expires"], row["attempts"]) if row else None

    def drop_otp(self, scope: str) -> None:
        """A one-time password that was used is gone."""
        self.db.execute("DELETE FROM otp WHERE scope = ?", (scope,))

    def wrong_pins(self, person: str) -> int:
        """How many wrong PINs in a row."""
        row = self._one("SELECT count FROM wrong_pins WHERE person = ?", person)
        return int(row["count"]) if row else 0

    def count_pin(self, person: str) -> None:
        """Counts a PIN as wrong before it is checked."""
        sql = "INSERT INTO wrong_pins VALUES (?, 1) ON CONFLICT (person) DO UPDATE SET count = count + 1"
        self.db.execute(sql, (person,))

    def pin_was_right(self, person: str) -> None:
        """The count begins again."""
        self.db.execute("DELETE FROM wrong_pins WHERE person = ?", (person,))

    def unlock(self) -> None:
        """All counts begin again."""
        self.db.execute("DELETE FROM wrong_pins")
        self.db.execute("DELETE FROM otp")

    # Tokens

    def new_family(self, ca: str, person: str) -> int:
        """A person gave access."""
        return int(self.db.execute("INSERT INTO family (ca, person) VALUES (?, ?)", (ca, person)).lastrowid or 0)

    def issue(self, kind: Kind, family: int, expires: float, bound: dict[str, Any] | None = None) -> str:
        """A new token of a family."""
        token = secrets.token_urlsafe(32)
        sql = "INSERT INTO token (digest, kind, family, expires, bound) VALUES (?, ?, ?, ?, ?)"
        self.db.execute(sql, (digest(token), kind, family, expires, json.dumps(bound or {})))
        return token

    def token(self, kind: Kind, token: str) -> Token | None:
        """The token as it stands, whether good or not."""
        of_both = "t.*, f.ca, f.person, f.revoked"
        sql = f"SELECT {of_both} FROM token t JOIN family f ON f.id = t.family WHERE t.digest = ? AND t.kind = ?"  # noqa: S608 - constant
        row = self._one(sql, digest(token), kind)
        if row is None:
            return None
        bound = json.loads(row["bound"])
        return Token(row["family"], row["ca"], row["person"], row["expires"], bool(row["used"]), bool(row["revoked"]), bound)

    def use_up(self, token: str) -> bool:
        """Uses a single-use token; False when it was used before."""
        changed = self.db.execute("UPDATE token SET used = 1 WHERE digest = ? AND used = 0", (digest(token),)).rowcount
        return changed == 1

    def drop(self, token: str) -> None:
        """This one token ends; its family does not."""
        self.db.execute("DELETE FROM token WHERE digest = ?", (digest(token),))

    def revoke_family(self, family: int) -> None:
        """Nothing of this family holds any more."""
        self.db.execute("UPDATE family SET revoked = 1 WHERE id = ?", (family,))
        self.db.execute("DELETE FROM sad WHERE family = ?", (family,))

    # Use and withdrawal

    def note_use(self, family: int, credential: str) -> None:
        """The family was used to authorise or sign with the credential."""
        self.db.execute("INSERT OR IGNORE INTO used_for VALUES (?, ?)", (family, credential))

    def withdraw(self, credential: str) -> int:
        """Access to a credential is withdrawn from every family there is; how many were revoked."""
        families = [row["family"] for row in self.db.execute("SELECT family FROM used_for WHERE credential = ?", (credential,))]
        for family in families:
            self.revoke_family(family)
        newest = self._one("SELECT coalesce(max(id), 0) AS newest FROM family")
        self.db.execute("DELETE FROM sad WHERE credential = ?", (credential,))
        self.db.execute("INSERT OR REPLACE INTO withdrawn VALUES (?, ?)", (credential, newest["newest"] if newest else 0))
        return len(families)

    def is_withdrawn(self, family: int, credential: str) -> bool:
        """Whether this family came before the credential's last withdrawal."""
        row = self._one("SELECT up_to_family FROM withdrawn WHERE credential = ?", credential)
        return row is not None and family <= row["up_to_family"]

    # SADs

    def put_sad(self, credential: str, family: int, count: int, expires: float) -> str:
        """A SAD for `count` signatures."""
        sad = secrets.token_urlsafe(32)
        self.db.execute("INSERT INTO sad VALUES (?, ?, ?, ?, ?)", (digest(sad), credential, family, count, expires))
        return sad

    def sad(self, sad: str) -> dict[str, Any] | None:
        """The SAD as it stands."""
        row = self._one("SELECT * FROM sad WHERE digest = ?", digest(sad))
        return dict(row) if row else None

    def spend(self, sad: str, count: int) -> bool:
        """Takes `count` of a SAD, or nothing."""
        sql = "UPDATE sad SET left = left - ? WHERE digest = ? AND left >= ?"
        return self.db.execute(sql, (count, digest(sad), count)).rowcount == 1

    def extend(self, sad: str, expires: float) -> str:
        """A new SAD for what is left of the old one, which ends."""
        new = secrets.token_urlsafe(32)
        self.db.execute("UPDATE sad SET digest = ?, expires = ? WHERE digest = ?", (digest(new), expires, digest(sad)))
        return new
