"""The end of a walk: the credential is checked, and tokens, epoch and its telling are written in one transaction."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from ca_connector import walk as rules
from ca_connector.csc import Described
from ca_connector.facts import CertificateUnusable, facts_of, key_digest
from ca_connector.parts import Ca, Parts
from ca_connector.storage import access as accesses
from ca_connector.storage import walks
from ca_connector.storage.access import Access, KeptTokens
from ca_connector.storage.walks import Walk
from contracts import CaAccessGranted
from contracts.ca_connector import CertificateFacts, GrantedEpoch
from messaging import put
from observability import get_logger

log = get_logger(__name__)


@dataclass(frozen=True)
class Won:
    """What a walk brought home."""

    described: Described
    tokens: KeptTokens
    granted_at: datetime  # when our request was sent
    ca_end_s: int | None = None


def refused_credential(described: Described, known_key: str | None) -> rules.Ended | None:
    """Rule 11: another key is the wrong account, a disabled one is refused; a re-issued certificate of the same key is not."""
    if not described.enabled:
        return rules.Ended("failed", "credential-disabled")
    try:
        digest = key_digest(described.chain)
    except CertificateUnusable:
        return rules.Ended("failed", "certificate-unusable")
    if known_key is not None and digest != known_key:
        return rules.Ended("failed", "wrong-account")
    return None


async def complete(parts: Parts, ca: Ca, walk_id: UUID, won: Won) -> Walk:
    """Opens the next epoch, or says why not. Whoever began under an older epoch comes too late."""
    try:
        facts = facts_of(won.described.credential_id, won.described.chain, won.described.multisign)
    except CertificateUnusable:
        return await fail(parts, walk_id, rules.Ended("failed", "certificate-unusable"))
    try:
        async with parts.sessions.begin() as session:
            walk = await walks.load(session, walk_id, parts.sealer, lock=True)
            if walk.status not in rules.OPEN:
                return walk
            epoch, version = await next_epoch(parts, session, walk)
            if epoch is None:
                await walks.end(session, walk_id, rules.TOO_LATE, parts.sealer, parts.clock())
                return await walks.load(session, walk_id, parts.sealer)
            access = Access(
                walk.row.certificate_id,
                ca.profile.id,
                won.described.credential_id,
                key_digest(won.described.chain),
                won.described.multisign,
                epoch,
                "good",
                version,
                won.tokens,
            )
            return await _granted(parts, ca, session, walk=walk, access=access, facts=facts, won=won)
    except IntegrityError:  # two finished at once: the other one's credential or epoch stands
        return await fail(parts, walk_id, rules.Ended("failed", "credential-taken"))


async def next_epoch(parts: Parts, session: AsyncSession, walk: Walk) -> tuple[int | None, int]:
    """The epoch this walk opens and its token version; no epoch when another walk was first."""
    try:
        now_there = await accesses.access_to(session, walk.row.certificate_id, parts.sealer, lock=True)
    except rules.CertificateUnknown:
        return (1, 1) if walk.row.base_epoch == 0 else (None, 0)
    if now_there.epoch != walk.row.base_epoch or now_there.state == "deleted":
        return None, 0
    return now_there.epoch + 1, now_there.token_version + 1


async def _granted(
    parts: Parts, ca: Ca, session: AsyncSession, *, walk: Walk, access: Access, facts: CertificateFacts, won: Won
) -> Walk:
    policy = ca.profile.policy
    ends = rules.expires_at(won.granted_at, policy, ca_end_s=won.ca_end_s, not_after=facts.valid_until)
    if ends <= won.granted_at:
        await walks.end(session, walk.row.id, rules.Ended("failed", "certificate-expired"), parts.sealer, parts.clock())
        return await walks.load(session, walk.row.id, parts.sealer)
    await accesses.store(session, access, parts.sealer)
    await accesses.assign_epoch(session, access, won.granted_at, ends)
    granted = GrantedEpoch(epoch=access.epoch, granted_at=won.granted_at, expires_at=ends)
    outcome = {"granted": granted.model_dump(mode="json"), "facts": facts.model_dump(mode="json")}
    over = {"status": "completed", "reason": None, "hidden": None, "exchanging_since": None, "answer_by": None}
    await walks.change(session, walk.row.id, **over, outcome=outcome)
    event = CaAccessGranted(
        certificate_id=access.certificate_id,
        epoch=access.epoch,
        granted_at=won.granted_at,
        expires_at=ends,
        usage_limit=policy.usage_limit,
        warn_before_s=policy.warn_before_s,
        warn_above_bp=policy.warn_above_bp,
    )
    await put(session, event, at=parts.clock())
    log.info("access granted", certificate_id=str(access.certificate_id), epoch=access.epoch)
    return await walks.load(session, walk.row.id, parts.sealer)


async def fail(parts: Parts, walk_id: UUID, ended: rules.Ended) -> Walk:
    """Ends the walk without a grant; what it was already stays."""
    async with parts.sessions.begin() as session:
        await walks.end(session, walk_id, ended, parts.sealer, parts.clock())
        log.info("a walk ended without a grant", authorisation_id=str(walk_id), reason=ended.reason)
        return await walks.load(session, walk_id, parts.sealer)
