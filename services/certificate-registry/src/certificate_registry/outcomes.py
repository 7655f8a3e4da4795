"""Adopts what the connector says of a walk: the walk's own row, and at its end the certificate, told and audited, at once."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry import secret, walk
from certificate_registry.storage import walks
from certificate_registry.storage.audit_trail import record
from certificate_registry.storage.tables import CertificateRow, WalkRow
from certificate_registry.storage.told import FACTS, tell
from contracts.ca_connector import Authorisation, CertificateFacts
from hosting.database import Sessions


async def adopt(sessions: Sessions, walk_id: UUID, outcome: Authorisation, now: datetime, *, ticket_key: bytes) -> WalkRow:
    """The walk after `outcome`. One that has ended stays as it ended, so adopting twice or late changes nothing."""
    async with sessions.begin() as session:
        certificate, row = await walks.locked(session, walk_id)
        row.checked_at = now
        if row.ended_at is None and _has_ended(row, outcome, now, ticket_key):
            await _end(session, certificate, row, outcome, now)
        return row


def _has_ended(row: WalkRow, outcome: Authorisation, now: datetime, ticket_key: bytes) -> bool:
    """Writes how the walk stands; true where that is its end."""
    row.status, row.reason = outcome.status, outcome.reason
    row.offered = [offer.model_dump(mode="json") for offer in outcome.offered]
    row.asks, row.answer_by, row.attempts_left = list(outcome.asks), outcome.answer_by, outcome.attempts_left
    if outcome.status == "awaiting-ca" and row.ticket_digest is None:
        row.ticket_digest = secret.digest(walk.ticket_of(ticket_key, row.id))
        row.ticket_until = now + walk.TICKET_GOOD_FOR
    if outcome.status in walk.OPEN:
        return False
    row.ended_at, row.state_digest, row.cookie_digest = now, None, None
    return True


async def _end(session: AsyncSession, certificate: CertificateRow, row: WalkRow, outcome: Authorisation, now: datetime) -> None:
    if outcome.status == "completed" and outcome.facts is not None and certificate.status != "deleted":
        await _learn(session, certificate, outcome.facts, now)
    granted = outcome.granted
    record(
        session,
        f"{row.kind}-{row.status}",
        actor=row.operator_id,
        kind="certificate",
        id=certificate.id,
        account_id=row.account_id,
        now=now,
        walk_id=row.id,
        reason=row.reason,
        epoch=granted.epoch if granted else None,
        expires_at=granted.expires_at if granted else None,
    )


async def _learn(session: AsyncSession, certificate: CertificateRow, facts: CertificateFacts, now: datetime) -> None:
    """Keeps the facts: of a new certificate, or of one that the CA issued again for the same key."""
    before = [getattr(certificate, name) for name in FACTS]
    for name in FACTS:
        setattr(certificate, name, getattr(facts, name))
    if certificate.status == "pending":
        certificate.status, certificate.registered_at = "active", now
        await tell(session, certificate, "registered", now)
    elif before != [getattr(facts, name) for name in FACTS]:
        await tell(session, certificate, "issued-again", now)


async def adopt_never_begun(sessions: Sessions, walk_id: UUID, now: datetime, *, ticket_key: bytes) -> WalkRow:
    """Ends a walk that the connector does not know."""
    async with sessions() as session:
        row = await session.get_one(WalkRow, walk_id)
    unknown = Authorisation(id=row.id, kind=row.kind, certificate_id=row.certificate_id, status="failed", reason="not-begun")
    return await adopt(sessions, walk_id, unknown, now, ticket_key=ticket_key)
