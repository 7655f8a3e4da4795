"""Signature activation data (SAD, CSC v2 §11.6): leave for one client service to make so many signatures within an hour.

A client service may sign without one, for its access token suffices. One that is sent binds: it is spent in the database before
anything is signed, in one statement, so that all gateways together never spend it twice.
"""

import hashlib
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Update, and_, insert, or_, select, update

from hosting.database import Sessions
from signing_gateway.refusals import (
    ActivationExpired,
    ActivationTooSmall,
    ActivationUnknown,
    HashNotActivated,
    OutcomeUnknown,
    Refused,
)
from signing_gateway.storage import recording
from signing_gateway.storage.tables import activation


@dataclass(frozen=True, slots=True)
class Leave:
    """What an activation allows. `hashes`: canonical base64, None for any; `hash_oid`: their algorithm, None for any."""

    client_service_id: UUID
    certificate_id: UUID
    signatures: int
    hashes: Sequence[str] | None
    hash_oid: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Use:
    """What a request wants to spend of an activation. `hashes`: canonical base64, one for each signature."""

    sad: str
    client_service_id: UUID
    certificate_id: UUID
    hashes: Sequence[str]
    hash_oid: str


class Activations:
    """The table of them."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def issue(self, leave: Leave) -> str:
        """A new activation's SAD. Raises RecordsAway."""
        sad = secrets.token_urlsafe(32)
        row = {
            "sad_digest": digest_of(sad),
            "client_service_id": leave.client_service_id,
            "certificate_id": leave.certificate_id,
            "signatures_left": leave.signatures,
            "hashes": leave.hashes,
            "hash_oid": leave.hash_oid,
            "expires_at": leave.expires_at,
        }
        async with recording(self._sessions) as session:
            await session.execute(insert(activation).values(row))
        return sad

    @asynccontextmanager
    async def spent(self, use: Use, now: datetime) -> AsyncIterator[None]:
        """Spends before the block; what the block refuses for certain is given back, an unknown outcome is not.

        Raises ActivationUnknown, ActivationExpired, ActivationTooSmall, HashNotActivated, RecordsAway.
        """
        await self._spend(use, now)
        try:
            yield
        except OutcomeUnknown:
            raise
        except Refused:
            async with recording(self._sessions) as session:
                await session.execute(given_back(digest_of(use.sad), len(use.hashes)))
            raise

    async def _spend(self, use: Use, now: datetime) -> None:
        count = len(use.hashes)
        statement = (
            update(activation)
            .where(
                _this(use.sad, use.client_service_id, use.certificate_id),
                activation.c.expires_at > now,
                activation.c.signatures_left >= count,
                or_(activation.c.hashes.is_(None), activation.c.hashes.contains(list(use.hashes))),
                or_(activation.c.hash_oid.is_(None), activation.c.hash_oid == use.hash_oid),
            )
            .values(signatures_left=activation.c.signatures_left - count)
            .returning(activation.c.signatures_left)
        )
        async with recording(self._sessions) as session:
            if (await session.execute(statement)).first() is None:
                row = select(activation).where(_this(use.sad, use.client_service_id, use.certificate_id))
                raise _refusal((await session.execute(row)).first(), use, now)

    async def extend(self, sad: str, leave: Leave, now: datetime) -> str:
        """A new SAD for what is left of an activation, for `leave.hashes` if there are any; the old one is over.

        Raises ActivationUnknown, also for one that is spent, ActivationExpired, RecordsAway.
        """
        renewed = secrets.token_urlsafe(32)
        hashes = {} if leave.hashes is None else {"hashes": leave.hashes, "hash_oid": leave.hash_oid}
        ours = _this(sad, leave.client_service_id, leave.certificate_id)
        statement = (
            update(activation)
            .where(ours, activation.c.expires_at > now, activation.c.signatures_left > 0)
            .values(sad_digest=digest_of(renewed), expires_at=leave.expires_at, **hashes)
            .returning(activation.c.signatures_left)
        )
        async with recording(self._sessions) as session:
            if (await session.execute(statement)).first() is None:
                row = (await session.execute(select(activation).where(ours))).first()
                raise ActivationExpired if row and row.signatures_left and row.expires_at <= now else ActivationUnknown
        return renewed


def given_back(sad_digest: bytes, count: int) -> Update:
    """SQL: these signatures were certainly not made. Repeated, it gives back again: it belongs beside what happens once."""
    left = activation.c.signatures_left + count
    return update(activation).where(activation.c.sad_digest == sad_digest).values(signatures_left=left)


def _refusal(row: Row[tuple[object, ...]] | None, use: Use, now: datetime) -> Refused:
    """Why an activation was not spent. One that is spent is as one that never was (CSC v2 §11.7: it SHALL be invalidated)."""
    if row is None or not row.signatures_left:
        return ActivationUnknown()
    if row.expires_at <= now:
        return ActivationExpired()
    if row.signatures_left < len(use.hashes):
        return ActivationTooSmall(row.signatures_left)
    return HashNotActivated()


def _this(sad: str, client_service_id: UUID, certificate_id: UUID) -> ColumnElement[bool]:
    return and_(
        activation.c.sad_digest == digest_of(sad),
        activation.c.client_service_id == client_service_id,
        activation.c.certificate_id == certificate_id,
    )


def digest_of(sad: str) -> bytes:
    """What stands for a SAD in the tables."""
    return hashlib.sha256(sad.encode()).digest()
