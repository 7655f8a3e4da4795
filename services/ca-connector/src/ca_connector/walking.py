"""The walk to a CA and back. No transaction is held while a CA is called; what a crash cuts is ended as interrupted."""

import hmac
from dataclasses import replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from ca_connector import walk as rules
from ca_connector.completing import Won, complete, fail, refused_credential
from ca_connector.csc import CscRefused, Described, TokenRefused
from ca_connector.facts import CertificateUnusable, facts_of, key_digest
from ca_connector.oauth import ClientRejected, GrantInvalid, MetadataMismatch, Tokens
from ca_connector.outbound import CaAnswerUnknown, CaNotReached
from ca_connector.parts import Ca, Parts
from ca_connector.storage import access as accesses
from ca_connector.storage import walks
from ca_connector.storage.access import Access, KeptTokens
from ca_connector.storage.walks import Hidden, Walk
from ca_connector.tokens import AccessTokens, AccessWithdrawn, CaUnavailable
from contracts.ca_connector import Authorisation, Begin, Callback, OfferedCredential
from observability import get_logger

log = get_logger(__name__)
FAULTS = (CaNotReached, CaAnswerUnknown, CaUnavailable, MetadataMismatch, ClientRejected, GrantInvalid, TokenRefused, CscRefused)


class CredentialNotOffered(Exception):
    """The credential is not one of those offered, or cannot be chosen."""


def ended_by(fault: Exception) -> rules.Ended:
    """What a fault on the way makes of a walk."""
    if isinstance(fault, ClientRejected | MetadataMismatch):
        return rules.Ended("failed", "client-rejected")
    if isinstance(fault, CscRefused) and "locked" in fault.detail.lower():
        return rules.Ended("failed", "locked")
    if isinstance(fault, CaNotReached | CaAnswerUnknown | CaUnavailable):
        return rules.Ended("failed", "ca-unavailable")
    return rules.Ended("failed", "ca-refused")


def kept(tokens: Tokens, now: float) -> KeptTokens:
    """Tokens as they are kept."""
    return KeptTokens(tokens.access, now + tokens.expires_in, tokens.refresh)


class Walking:
    """Begins walks, takes callbacks and choices."""

    def __init__(self, parts: Parts, tokens: AccessTokens) -> None:
        self.parts, self._tokens = parts, tokens

    async def load(self, walk_id: UUID) -> Walk:
        """The walk as it stands. Raises AuthorisationUnknown."""
        async with self.parts.sessions() as session:
            return await walks.load(session, walk_id, self.parts.sealer)

    async def begin(self, asked: Begin) -> Authorisation:
        """Begins a walk; the same id begins nothing more."""
        ca, now = await self.parts.ca(asked.certificate_authority_id), self.parts.clock()
        if ca.profile.status != "active":
            raise rules.AuthorityInactive(f"{ca.profile.name} is switched off: ask the platform's administrator")
        async with self.parts.sessions.begin() as session:
            base = await self._base_epoch(session, asked)
            if not await walks.begin(session, asked, base, now):
                stands = await walks.load(session, asked.id, self.parts.sealer)
                _check_same(stands, asked)
                left = stands.hidden or stands.status != "awaiting-ca" or stands.row.exchanging_since is not None
                if left or ca.profile.approval == "in-back-office":
                    return stands.shown()
        try:
            if asked.kind == "renewal" and ca.profile.approval == "in-back-office" and await self._asked_here(ca, asked):
                return (await self.load(asked.id)).shown()
            departure = await self.parts.oauth.departure(ca.client)
        except FAULTS as fault:
            return (await fail(self.parts, asked.id, ended_by(fault))).shown()
        hidden: Hidden = {"state": departure.state, "verifier": departure.verifier, "url": departure.url}
        async with self.parts.sessions.begin() as session:
            await walks.hide_departure(session, asked.id, hidden, self.parts.sealer)
        return (await self.load(asked.id)).shown()

    async def _base_epoch(self, session: AsyncSession, asked: Begin) -> int:
        """The epoch that the walk begins under: 0 at a registration. Raises CertificateUnknown or WalkDiffers."""
        if asked.kind == "registration":
            return 0
        access = await accesses.access_to(session, asked.certificate_id, self.parts.sealer)
        if access.state == "deleted":
            raise rules.CertificateUnknown("this certificate was deleted")
        if access.certificate_authority_id != asked.certificate_authority_id:
            raise rules.WalkDiffers("the certificate was registered at another CA: renew it there")
        return access.epoch

    async def _asked_here(self, ca: Ca, asked: Begin) -> bool:
        """Whether our own dialog can ask: the tokens we have still work. A dead one needs the CA's pages."""
        try:
            access = await self._tokens.of(ca, asked.certificate_id)
            described = await ca.csc.describe(_bearer(access), access.credential_id)
        except (AccessWithdrawn, TokenRefused):
            return False
        if ended := refused_credential(described, access.key_digest):
            await fail(self.parts, asked.id, ended)
            return True
        await self.ask(ca, asked.id, described, _bearer(access), {})
        return True

    async def ask(self, ca: Ca, walk_id: UUID, described: Described, token: str, hidden: Hidden) -> None:
        """Our dialog opens: the CA sends a code, good for two minutes from now."""
        async with self.parts.sessions.begin() as session:
            walk = await walks.load(session, walk_id, self.parts.sealer, lock=True)
            tried = await walks.answers_for(session, walk.row, described.credential_id, self.parts.clock())
        if tried >= rules.MAX_ANSWERS:
            await fail(self.parts, walk_id, rules.Ended("failed", "locked"))
            return
        if "otp" in described.asks:
            await ca.csc.challenge(token, described)
        async with self.parts.sessions.begin() as session:
            await walks.hide(session, walk_id, hidden, self.parts.sealer)
            await walks.answer_window(session, walk_id, self.parts.clock(), rules.ANSWER_LIFE)
            values = {"status": "awaiting-authorisation", "credential_id": described.credential_id, "asks": described.asks}
            await walks.change(session, walk_id, **values, answers=tried, exchanging_since=None)

    async def callback(self, walk_id: UUID, told: Callback) -> Authorisation:
        """What the CA's redirect brought. Repeated, late or after the end it answers what stands."""
        parts = self.parts
        async with parts.sessions.begin() as session:
            walk = await walks.load(session, walk_id, parts.sealer, lock=True)
            if walk.status != "awaiting-ca" or walk.row.exchanging_since is not None:
                return walk.shown()
            if not hmac.compare_digest(str(walk.hidden.get("state", "")).encode(), told.state.encode()):
                raise rules.StateForeign("this state is not this authorisation's")
            ca = await parts.ca(walk.row.certificate_authority_id)
            ended = _refused_redirect(ca, told)
            if ended is not None:
                await walks.end(session, walk_id, ended, parts.sealer, parts.clock())
                return (await walks.load(session, walk_id, parts.sealer)).shown()
            sent_at = parts.clock()
            await walks.change(session, walk_id, exchanging_since=sent_at, granted_at=sent_at)
        try:
            return (await self._exchanged(ca, walk, told)).shown()
        except FAULTS as fault:
            return (await fail(parts, walk_id, ended_by(fault))).shown()

    async def _exchanged(self, ca: Ca, walk: Walk, told: Callback) -> Walk:
        """Code → tokens → the next step."""
        code = told.code.get_secret_value() if told.code else ""
        tokens = await self.parts.oauth.exchange(ca.client, code, walk.hidden["verifier"])
        mine = kept(tokens, self.parts.clock().timestamp())
        hidden: Hidden = {"access": mine.access, "access_ends": mine.access_ends, "refresh": mine.refresh}
        async with self.parts.sessions.begin() as session:
            await walks.hide(session, walk.row.id, hidden, self.parts.sealer)
            await walks.change(session, walk.row.id, ca_end_s=tokens.access_ends_in)
        walk = await self.load(walk.row.id)
        if walk.row.kind == "registration":
            return await self._offer(ca, walk, mine)
        async with self.parts.sessions() as session:
            access = await accesses.access_to(session, walk.row.certificate_id, self.parts.sealer)
        try:
            described = await ca.csc.describe(mine.access, access.credential_id)
        except CscRefused:  # the account that logged in does not have it
            return await fail(self.parts, walk.row.id, rules.Ended("failed", "wrong-account"))
        if ended := refused_credential(described, access.key_digest):
            return await fail(self.parts, walk.row.id, ended)
        return await self.proceed(ca, walk, described, mine)

    async def _offer(self, ca: Ca, walk: Walk, mine: KeptTokens) -> Walk:
        """The credentials that the account at the CA has, with why one cannot be chosen."""
        ids = await ca.csc.credential_ids(mine.access)
        offered = [await self._offered(ca, mine, each) for each in ids]
        shown = [each.model_dump(mode="json") for each in offered if each is not None]
        async with self.parts.sessions.begin() as session:
            await walks.change(session, walk.row.id, status="awaiting-credential", offered=shown, exchanging_since=None)
        return await self.load(walk.row.id)

    async def _offered(self, ca: Ca, mine: KeptTokens, credential_id: str) -> OfferedCredential | None:
        """One credential as it is offered; None for an entry that is no signing credential."""
        try:
            described = await ca.csc.describe(mine.access, credential_id)
            facts = facts_of(credential_id, described.chain, described.multisign)
        except (CscRefused, CertificateUnusable):
            return None
        async with self.parts.sessions() as session:
            taken = await accesses.key_is_taken(session, key_digest(described.chain))
        reasons = {
            "credential-taken": taken,
            "credential-disabled": not described.enabled,
            "certificate-expired": facts.valid_until <= self.parts.clock(),
        }
        reason = next((word for word, holds in reasons.items() if holds), None)
        return OfferedCredential(
            credential_id=credential_id,
            subject=facts.subject,
            valid_until=facts.valid_until,
            key_algorithm=facts.key_algorithm,
            usable=reason is None,
            reason=reason,
        )

    async def choose(self, walk_id: UUID, credential_id: str) -> Authorisation:
        """The operator's choice. The same choice again answers what stands."""
        walk = await self.load(walk_id)
        if walk.status in {"awaiting-authorisation", "completed"} and walk.row.credential_id == credential_id:
            return walk.shown()
        if walk.status != "awaiting-credential":
            raise rules.NotNow(walk.status)
        offered = {each["credential_id"]: each for each in walk.row.offered}
        if credential_id not in offered or not offered[credential_id]["usable"]:
            reason = offered.get(credential_id, {}).get("reason") or "it is not offered"
            raise CredentialNotOffered(f"{credential_id} cannot be chosen ({reason}): choose one that `offered` says is usable")
        ca = await self.parts.ca(walk.row.certificate_authority_id)
        mine = KeptTokens(walk.hidden["access"], walk.hidden["access_ends"], walk.hidden["refresh"])
        try:
            described = await ca.csc.describe(mine.access, credential_id)
            if ended := refused_credential(described, None):
                return (await fail(self.parts, walk_id, ended)).shown()
            async with self.parts.sessions.begin() as session:
                await walks.change(session, walk_id, credential_id=credential_id)
            return (await self.proceed(ca, walk, described, mine)).shown()
        except FAULTS as fault:
            return (await fail(self.parts, walk_id, ended_by(fault))).shown()

    async def proceed(self, ca: Ca, walk: Walk, described: Described, mine: KeptTokens) -> Walk:
        """With tokens and a checked credential: our dialog where the CA wants codes for its SAD, else the end."""
        if ca.profile.signing == "sad-per-grant" and described.asks:
            await self.ask(ca, walk.row.id, described, mine.access, walk.hidden)
            return await self.load(walk.row.id)
        if ca.profile.signing == "sad-per-grant":
            sad = await ca.csc.authorize(mine.access, described, min(ca.profile.policy.usage_limit, described.multisign))
            mine = replace(mine, sad=sad.value)
        won = Won(described, mine, walk.row.granted_at, walk.row.ca_end_s)
        return await complete(self.parts, ca, walk.row.id, won)

    async def cancel(self, walk_id: UUID) -> Authorisation:
        """The operator changed their mind. A walk that is over stays as it is."""
        await self.load(walk_id)
        return (await fail(self.parts, walk_id, rules.Ended("cancelled", "cancelled-by-operator"))).shown()


def _refused_redirect(ca: Ca, told: Callback) -> rules.Ended | None:
    """RFC 9207 first: an answer of another issuer is no answer of this CA's."""
    if told.iss != ca.profile.issuer:
        return rules.Ended("failed", "issuer-mismatch")
    if told.error is not None:
        return rules.ended_by_ca(told.error)
    return None if told.code else rules.Ended("failed", "ca-refused")


def _check_same(stands: Walk, asked: Begin) -> None:
    """Raises WalkDiffers when an id is used again for something else."""
    names = ("kind", "certificate_id", "certificate_authority_id")
    if any(getattr(stands.row, name) != getattr(asked, name) for name in names):
        raise rules.WalkDiffers("this id is another authorisation's: make a new one")


def _bearer(access: Access) -> str:
    if access.tokens is None:
        raise AccessWithdrawn("the access to this certificate is over: it has to be renewed")
    return access.tokens.access
