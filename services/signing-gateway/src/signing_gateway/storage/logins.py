"""Who logged in and what was revoked, known to all gateways of one platform and after any restart."""

import asyncio
import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Text, cast, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from hosting import Clock, boottime
from hosting.database import Sessions
from observability import get_logger
from signing_gateway.assertions import Assertion
from signing_gateway.refusals import RecordsAway
from signing_gateway.revoked import Revoked
from signing_gateway.storage import recording
from signing_gateway.storage.tables import login, revocation, spent_assertion

log = get_logger(__name__)

LOOK_S = 1.0
OLDEST_OPEN = select(cast(cast(func.pg_snapshot_xmin(func.pg_current_snapshot()), Text), BigInteger))


@dataclass(frozen=True, slots=True)
class Login:
    """A login that is remembered, by its refresh token."""

    id: UUID
    client_service_id: UUID
    secret_digest: bytes
    by_certificate: bool
    revoked: bool
    ends_at: datetime


class Logins:
    """The tables of them. Every method raises RecordsAway while the database cannot be reached."""

    def __init__(self, sessions: Sessions, revoked: Revoked, clock: Clock) -> None:
        self._sessions, self._revoked, self._clock = sessions, revoked, clock
        self._heard = 0  # every transaction before this one has been heard of, or was undone

    async def run(self) -> None:
        """Hears what other gateways revoked, for ever. While the database is away `Revoked` ceases to be current by itself."""
        away = False
        while True:
            try:
                await self.hear()
                away = False
            except RecordsAway:
                if not away:
                    log.warning("revocations cannot be confirmed: the database is away")
                away = True
            await asyncio.sleep(LOOK_S)

    async def hear(self) -> None:
        """What was revoked since the last hearing; all of it at the first one, and after one that failed.

        Numbers and times are given before a commit, so that a row may appear behind one that was read. No row can appear behind
        the oldest transaction that was still open when the last reading began.
        """
        begun, now = boottime(), self._clock()
        since, self._heard = self._heard, 0
        async with recording(self._sessions) as session:
            oldest_open: int = (await session.execute(OLDEST_OPEN)).scalar_one()
            if oldest_open < since:  # the database was put back, or is another one
                since = 0
            new = select(revocation).where(revocation.c.added_in >= since, revocation.c.ends_at > now)
            rows = (await session.execute(new)).all()
        self._heard = oldest_open
        self._revoked.add({row.token_id: row.ends_at.timestamp() for row in rows})
        self._revoked.confirm(begun, now.timestamp())

    async def revoke(self, token_id: str, ends: float) -> None:
        """The token holds no more, here at once and at the other gateways within a second or two."""
        told = {"token_id": token_id, "ends_at": datetime.fromtimestamp(ends, UTC)}
        async with recording(self._sessions) as session:
            await session.execute(insert(revocation).values(told).on_conflict_do_nothing())
        self._revoked.add({token_id: ends})

    async def remember(self, made: Login) -> str:
        """Keeps a login; its refresh token, which is nowhere else."""
        refresh_token = secrets.token_urlsafe(32)
        row = {
            "refresh_digest": _digest(refresh_token),
            "login_id": made.id,
            "client_service_id": made.client_service_id,
            "secret_digest": made.secret_digest,
            "by_certificate": made.by_certificate,
            "revoked": made.revoked,
            "ends_at": made.ends_at,
        }
        async with recording(self._sessions) as session:
            await session.execute(insert(login).values(row))
        return refresh_token

    async def of(self, refresh_token: str) -> Login | None:
        """The login with this refresh token, be it revoked; None when there is none or it is over."""
        statement = select(login).where(login.c.refresh_digest == _digest(refresh_token), login.c.ends_at > self._clock())
        async with recording(self._sessions) as session:
            row = (await session.execute(statement)).first()
        if row is None:
            return None
        return Login(row.login_id, row.client_service_id, row.secret_digest, row.by_certificate, row.revoked, row.ends_at)

    async def end(self, ended: Login, tokens_end: float) -> None:
        """The refresh token holds no more, nor do the access tokens that came of it, the last of which ends at `tokens_end`."""
        told = {"token_id": str(ended.id), "ends_at": datetime.fromtimestamp(tokens_end, UTC)}
        async with recording(self._sessions) as session:
            await session.execute(update(login).where(login.c.login_id == ended.id).values(revoked=True))
            await session.execute(insert(revocation).values(told).on_conflict_do_nothing())
        self._revoked.add({str(ended.id): tokens_end})

    async def spend(self, client_service_id: UUID, assertion: Assertion, real_now: datetime) -> bool:
        """Whether the assertion was used for the first time, by whichever gateway."""
        row = {"client_service_id": client_service_id, "assertion_id": assertion.id, "ends_at": assertion.ends}
        first = insert(spent_assertion).values(row).on_conflict_do_nothing().returning(spent_assertion.c.assertion_id)
        async with recording(self._sessions) as session:
            await session.execute(delete(spent_assertion).where(spent_assertion.c.ends_at <= real_now))
            return (await session.execute(first)).first() is not None


def new_login(client_service_id: UUID, secret_digest: bytes, *, by_certificate: bool, ends_at: datetime) -> Login:
    """A login that begins now."""
    return Login(uuid4(), client_service_id, secret_digest, by_certificate, revoked=False, ends_at=ends_at)


def _digest(refresh_token: str) -> bytes:
    return hashlib.sha256(refresh_token.encode()).digest()
