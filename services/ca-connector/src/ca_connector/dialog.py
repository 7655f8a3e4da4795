"""Our own dialog for a CA that has the platform ask for OTP and PIN. Codes live in memory for the length of one request."""

from dataclasses import replace
from uuid import UUID

from ca_connector import walk as rules
from ca_connector.completing import Won, complete, fail, next_epoch
from ca_connector.csc import CodesRefused, CscRefused, TokenRefused
from ca_connector.outbound import CaAnswerUnknown, CaNotReached
from ca_connector.parts import Ca
from ca_connector.storage import walks
from ca_connector.storage.access import KeptTokens
from ca_connector.storage.walks import Walk
from ca_connector.tokens import AccessTokens, AccessWithdrawn, CaUnavailable
from ca_connector.walking import Walking, ended_by
from contracts.ca_connector import Authorisation, CodesAnswer


class CaDidNotAnswer(Exception):
    """The CA gave no answer to the codes; they may be tried again with a new code."""


class Dialog:
    """Takes answers and sends new codes."""

    def __init__(self, walking: Walking, tokens: AccessTokens) -> None:
        self._walking, self._parts, self._tokens = walking, walking.parts, tokens

    async def answer(self, walk_id: UUID, codes: CodesAnswer) -> Authorisation:
        """Raises CodeRefused with the attempts left; answers the walk when it is over, for good or not."""
        walk = await self._counted(walk_id, codes)
        if walk.status != "awaiting-authorisation":
            return walk.shown()
        ca = await self._parts.ca(walk.row.certificate_authority_id)
        left = rules.MAX_ANSWERS - walk.row.answers
        try:
            return (await self._authorised(ca, walk, codes)).shown()
        except CodesRefused as refused:
            if refused.locked or left <= 0:
                return (await fail(self._parts, walk_id, rules.Ended("failed", "locked"))).shown()
            reason = "code-expired" if refused.late else f"wrong-{refused.which}"
            async with self._parts.sessions.begin() as session:
                await walks.note_refused(session, walk_id, reason)
            raise rules.CodeRefused(reason, left) from None
        except (TokenRefused, AccessWithdrawn):
            return (await fail(self._parts, walk_id, rules.Ended("failed", "access-withdrawn"))).shown()
        except CscRefused as fault:
            return (await fail(self._parts, walk_id, ended_by(fault))).shown()
        except (CaNotReached, CaAnswerUnknown, CaUnavailable) as fault:
            raise CaDidNotAnswer(f"{fault}. Have a new code sent and try again; {left} attempts are left.") from None

    async def _counted(self, walk_id: UUID, codes: CodesAnswer) -> Walk:
        """The walk, with this attempt counted and committed before anything is compared (control 27)."""
        now = self._parts.clock()
        async with self._parts.sessions.begin() as session:
            walk = await walks.load(session, walk_id, self._parts.sealer, lock=True)
            if walk.status not in rules.OPEN:
                return walk
            if walk.status != "awaiting-authorisation":
                raise rules.NotNow(walk.status)
            if (await next_epoch(self._parts, session, walk))[0] is None:  # said before a code is spent on nothing
                await walks.end(session, walk_id, rules.TOO_LATE, self._parts.sealer, now)
                return await walks.load(session, walk_id, self._parts.sealer)
            tried = await walks.answers_for(session, walk.row, walk.row.credential_id, now)
            left = rules.MAX_ANSWERS - tried
            given = {"otp": codes.otp, "pin": codes.pin}
            if any(given[each] is None or not given[each].get_secret_value() for each in walk.row.asks):  # type: ignore[union-attr] # None is seen first
                raise rules.CodeRefused("code-missing", left)
            if walk.row.answer_by is None or now >= walk.row.answer_by:
                raise rules.CodeRefused("code-expired", left)
            if left <= 0:
                await walks.end(session, walk_id, rules.Ended("failed", "locked"), self._parts.sealer, now)
            else:
                await walks.change(session, walk_id, answers=tried + 1, granted_at=now)
            return await walks.load(session, walk_id, self._parts.sealer)

    async def _authorised(self, ca: Ca, walk: Walk, codes: CodesAnswer) -> Walk:
        mine = await self._tokens_of(ca, walk)
        described = await ca.csc.describe(mine.access, walk.row.credential_id)
        otp, pin = (each.get_secret_value().strip() if each else None for each in (codes.otp, codes.pin))
        asked = {name: value for name, value in (("otp", otp), ("pin", pin)) if name in walk.row.asks}
        count = min(ca.profile.policy.usage_limit, described.multisign)
        sad = await ca.csc.authorize(mine.access, described, count, **asked)
        won = Won(described, replace(mine, sad=sad.value), walk.row.granted_at, sad.expires_in)
        return await complete(self._parts, ca, walk.row.id, won)

    async def _tokens_of(self, ca: Ca, walk: Walk) -> KeptTokens:
        """The tokens this walk brought, or those the certificate has."""
        if "access" in walk.hidden:
            return KeptTokens(walk.hidden["access"], walk.hidden["access_ends"], walk.hidden["refresh"])
        access = await self._tokens.of(ca, walk.row.certificate_id)
        if access.tokens is None:
            raise AccessWithdrawn("the access to this certificate is over")
        return access.tokens

    async def challenge(self, walk_id: UUID) -> Authorisation:
        """A new code, good for two minutes; five in a walk at the most."""
        walk = await self._walking.load(walk_id)
        if walk.status != "awaiting-authorisation":
            raise rules.NotNow(walk.status)
        async with self._parts.sessions.begin() as session:
            if not await walks.count_challenge(session, walk_id, rules.MAX_CHALLENGES):
                raise rules.TooManyChallenges("no further code is sent: begin the renewal again")
        ca = await self._parts.ca(walk.row.certificate_authority_id)
        try:
            mine = await self._tokens_of(ca, walk)
            described = await ca.csc.describe(mine.access, walk.row.credential_id)
            await ca.csc.challenge(mine.access, described)
        except (CaNotReached, CaAnswerUnknown, CaUnavailable, TokenRefused, AccessWithdrawn, CscRefused) as fault:
            raise CaDidNotAnswer(f"the CA sent no code ({type(fault).__name__}): try again in a moment") from None
        async with self._parts.sessions.begin() as session:
            await walks.answer_window(session, walk_id, self._parts.clock(), rules.ANSWER_LIFE)
        return (await self._walking.load(walk_id)).shown()
