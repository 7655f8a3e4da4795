"""Access tokens of certificates: refreshed by one at a time across instances, and what a refusal means (domain, rule 12)."""

import asyncio
from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from prometheus_client import Counter, Gauge

from ca_connector.oauth import ClientRejected, GrantInvalid, MetadataMismatch
from ca_connector.outbound import CaAnswerUnknown, CaNotReached
from ca_connector.parts import Ca, Parts
from ca_connector.storage import profiles
from ca_connector.storage.access import Access, KeptTokens, access_to, end_access, end_of, store, withdrawals_since
from observability import get_logger

log = get_logger(__name__)

SKEW_S = 30  # a token is refreshed this long before its end
HELD_ABOVE = 5  # withdrawals of one CA within HOLD_WINDOW: more are its fault or ours
HOLD_WINDOW = timedelta(minutes=1)
NEAR_END = timedelta(minutes=1)  # a CA whose clock is ahead ends its tokens a little early: that is time
HELD = Counter("ca_withdrawals_held_total", "Withdrawals not believed because too many came at once", ["authority"])
TOKEN_ENDS = Gauge("ca_token_expires_at", "When the newest access token of a CA ends, seconds since the epoch", ["authority"])


class AccessWithdrawn(Exception):
    """The CA has withdrawn the access to this certificate, or an operator gave it up."""


class GrantOver(AccessWithdrawn):
    """The tokens died with their grant, whose time is up: nobody withdrew anything."""


class CaUnavailable(Exception):
    """The CA gives no token just now; nothing was signed and nothing of it is anybody's fault here."""


class AccessTokens:
    """Hands out access tokens."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._locks: dict[UUID, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def of(self, ca: Ca, certificate_id: UUID, *, refused: int | None = None) -> Access:
        """The access with a token that is good for a while.

        `refused` is the token version that the CA just refused: then the token is refreshed whatever its end says.
        Raises AccessWithdrawn, CaUnavailable or CertificateUnknown.
        """
        async with self._parts.sessions() as session:
            access = await access_to(session, certificate_id, self._parts.sealer)
        return access if self.good(access, refused) else await self.refreshed(ca, certificate_id, refused)

    def good(self, access: Access, refused: int | None = None, new: int | None = None) -> bool:
        """Whether its token is good for a while and is not the one that was refused. Raises AccessWithdrawn where it has none.

        `new` is the version that a refresh just brought: that one is good, however short its life.
        """
        if access.token_version == new:
            return True
        ends = self.held(access).access_ends
        return access.token_version != refused and ends - SKEW_S > self._parts.clock().timestamp()

    async def refreshed(self, ca: Ca, certificate_id: UUID, refused: int | None) -> Access:
        """As `of`, for whoever knows already that the token is not good."""
        async with self._locks[certificate_id]:  # the row's lock is for other instances; here nobody waits on a connection
            return await self._refreshed(ca, certificate_id, refused)

    def held(self, access: Access) -> KeptTokens:
        """Its tokens. Raises AccessWithdrawn where it has none any more."""
        if access.tokens is None or access.state != "good":
            raise AccessWithdrawn("the access to this certificate is over: it has to be renewed")
        return access.tokens

    async def _refreshed(self, ca: Ca, certificate_id: UUID, refused: int | None) -> Access:
        """Refreshes under the row's lock: whoever waited for it finds a newer version and calls nobody."""
        parts = self._parts
        async with parts.sessions.begin() as session:
            access = await access_to(session, certificate_id, parts.sealer, lock=True)
            tokens, now = self.held(access), parts.clock()
            if self.good(access, refused):
                return access
            if tokens.refresh is None:
                raise CaUnavailable("the CA gave no refresh token: the access has to be renewed")
            try:
                new = await parts.oauth.refresh(ca.client, tokens.refresh)
            except GrantInvalid:
                new = None
            except ClientRejected as fault:
                log.exception("the CA rejects our client credentials: mend the CA profile", authority=ca.profile.name)
                raise CaUnavailable("the CA rejects the platform's own client credentials") from fault
            except (CaNotReached, CaAnswerUnknown, MetadataMismatch) as fault:
                raise CaUnavailable(str(fault)) from fault
            if new is not None:
                kept = KeptTokens(new.access, now.timestamp() + new.expires_in, new.refresh or tokens.refresh, tokens.sad)
                TOKEN_ENDS.labels(ca.profile.name).set(kept.access_ends)
                access = replace(access, tokens=kept, token_version=access.token_version + 1)
                await store(session, access, parts.sealer)
                return access
        return await self.withdrawn(ca, access)

    async def withdrawn(self, ca: Ca, seen: Access) -> Access:
        """The CA withdrew the access that `seen` shows. Answers the access when somebody renewed it meanwhile.

        Raises AccessWithdrawn, GrantOver near the grant's end, or CaUnavailable when too many come at once to be believed.
        """
        parts, now = self._parts, self._parts.clock()
        async with parts.sessions.begin() as session:
            access = await access_to(session, seen.certificate_id, parts.sealer, lock=True)
            if (access.epoch, access.token_version) != (seen.epoch, seen.token_version):
                return access
            if now >= await end_of(session, access) - NEAR_END:
                raise GrantOver("this grant is over")
            await profiles.lock(session, ca.profile.id)  # withdrawals of one CA are counted one after the other
            if await withdrawals_since(session, ca.profile.id, now - HOLD_WINDOW) >= HELD_ABOVE:
                HELD.labels(ca.profile.name).inc()
                log.error("too many accesses of one CA are withdrawn at once: held", authority=ca.profile.name)
                raise CaUnavailable("the CA refuses many accesses at once; that is held and looked into")
            await end_access(session, access, by="certificate-authority", state="withdrawn", now=now, sealer=parts.sealer)
            log.warning("the CA withdrew access", certificate_id=str(access.certificate_id), epoch=access.epoch)
        raise AccessWithdrawn("the CA has withdrawn the access to this certificate: it has to be renewed")
