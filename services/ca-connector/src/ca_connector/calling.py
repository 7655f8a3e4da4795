"""One call to a CA for items that go together: the fence, the token, the SAD, signHash, and an honest outcome for each item.

Whatever is missing is fetched first and the fence judged again, so that nothing but the call itself follows a judgement.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from opentelemetry.trace import SpanContext
from sqlalchemy.exc import SQLAlchemyError

from ca_connector.activation import ActivationData, hashes_per_call
from ca_connector.breaker import Breaker
from ca_connector.csc import CaBusy, CscRefused, Hashes, TokenRefused
from ca_connector.fence import Fence, FenceUnknown, Known, Standings
from ca_connector.lanes import Lane, Waiting
from ca_connector.outbound import CaAnswerUnknown, CaNotReached
from ca_connector.parts import Ca, Parts
from ca_connector.sealing import SealBroken
from ca_connector.storage.access import Access
from ca_connector.tokens import AccessTokens, AccessWithdrawn, CaUnavailable, GrantOver
from hosting import boottime
from hosting.address import AddressRefused
from hosting.exchanges import TooLate
from observability import get_logger, joined

log = get_logger(__name__)

NOT_SENT = (FenceUnknown, SealBroken, SQLAlchemyError, AddressRefused, OSError)  # ours, and always before the call is made
LOOKS = 3
SAD_WORDS = ("sad", "numbers of signatures", "number of signatures")
CREDENTIAL_WORDS = ("credential", "certificate", "locked")


class NothingSigned(Exception):
    """The CA certainly made no signature. `reason` is SignResult's."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


@dataclass(eq=False)
class Attempt:
    """What was learnt on the way to a call that the CA takes."""

    lane: Lane
    items: list[Waiting]  # those that have no outcome yet
    until: float = 0.0  # the boot time before which it has to be sent, as last judged
    step: int = 0  # how many hashes the CA takes in a call, as last judged
    hashes: list[str] = field(default_factory=list)  # what is to be signed of the items in this one
    refused_token: int | None = None  # the version that the CA refused
    new_token: int | None = None  # the version that a refresh just brought
    sad: str | None = field(default=None, repr=False)
    new_sad: bool = False  # whether one was refused already

    def each(self, outcome: Callable[[Waiting], object]) -> None:
        """Gives every item that has none yet its outcome."""
        for item in self.items:
            outcome(item)
        self.items = []


class Calls:
    """Makes the calls."""

    def __init__(self, parts: Parts, tokens: AccessTokens, fence: Fence) -> None:
        self._parts, self._tokens, self._fence = parts, tokens, fence
        self._activation, self._breaker = ActivationData(parts.clock), Breaker()
        self._cas: dict[UUID, Ca] = {}

    def call(self, lane: Lane, items: list[Waiting]) -> Coroutine[Any, Any, None]:
        """Whatever happens, each item has been answered or waits in the lane again when this returns."""
        attempt = Attempt(lane, items)
        origins = [item.reply.origin for item in items if item.item.traced and item.reply.origin]
        return self._traced(attempt, origins) if origins else self._until_told(attempt)

    async def _traced(self, attempt: Attempt, origins: list[SpanContext]) -> None:
        with joined("sign at the CA", origins):
            await self._until_told(attempt)

    async def _until_told(self, attempt: Attempt) -> None:
        certificate_id = attempt.lane.certificate_id
        try:
            await self._until_taken(attempt)
        except NothingSigned as fault:
            attempt.each(partial(Waiting.refused, reason=fault.reason, detail=fault.detail))
        except NOT_SENT as fault:
            away = isinstance(fault, FenceUnknown)  # which is true of every call then: one line each, without its stack
            log.warning(
                "nothing was sent to the CA", certificate_id=str(certificate_id), kind=type(fault).__name__, exc_info=not away
            )
            attempt.each(partial(Waiting.refused, reason="ca-unavailable", detail=f"not sent ({type(fault).__name__})"))
        except CaAnswerUnknown as fault:
            log.warning("nobody knows whether the CA signed", certificate_id=str(certificate_id), reason=str(fault))
            attempt.each(partial(Waiting.unknown, detail=str(fault)))
        except Exception as fault:
            log.exception("a call to a CA failed on our side", certificate_id=str(certificate_id))
            attempt.each(partial(Waiting.unknown, detail=f"failed on our side ({type(fault).__name__})"))

    async def _until_taken(self, attempt: Attempt) -> None:
        """A 401 or a spent SAD is a certain refusal, so the call is made once more with a new one; what is unknown never is."""
        while judged := await self._judged(attempt):
            ca, access = judged
            try:
                if not self._ready(attempt, ca, access):
                    await self._fetch(attempt, ca, access)  # which takes time: the fence is judged again
                elif await self._signed(attempt, ca, access):
                    return
            except TokenRefused:
                self._fence.doubt(access.certificate_id)
                self._activation.drop(access.certificate_id)
                attempt.sad = None
                if attempt.refused_token is not None:
                    await self._give_up(ca, access)
                attempt.refused_token = access.token_version
            except AccessWithdrawn as fault:
                raise NothingSigned(_reason(fault), str(fault)) from None
            except CaUnavailable as fault:
                raise NothingSigned("ca-unavailable", str(fault)) from None
            except CaBusy as fault:
                self._breaker.paused(ca.profile.id, fault.seconds)
                raise NothingSigned("ca-unavailable", str(fault)) from None
            except CaNotReached as fault:
                self._breaker.missed(ca.profile.id)
                raise NothingSigned("ca-unavailable", str(fault)) from None

    async def _judged(self, attempt: Attempt) -> tuple[Ca, Access] | None:
        """The CA and the access at this instant; None when no item is left. Raises NothingSigned while the CA is not called.

        What a profile says of signing never changes, so it is read once; that takes time, after which the fence is judged again.
        """
        certificate_id = attempt.lane.certificate_id
        while True:
            known = await self._known(certificate_id, {item.item.epoch for item in attempt.items})
            attempt.until = known.until
            attempt.items = self._permitted(attempt.items, known.standings)
            if not attempt.items:
                return None
            access = self._fence.access(certificate_id)
            if access is None:
                raise FenceUnknown("an epoch stands without an access")
            attempt.step = step = hashes_per_call(access)
            attempt.hashes = [each for item in attempt.items for each in item.part(step)]
            authority_id = access.certificate_authority_id
            if reason := self._breaker.reason(authority_id):
                raise NothingSigned("ca-unavailable", reason)
            if ca := self._cas.get(authority_id):
                return ca, access
            self._cas[authority_id] = await self._parts.ca(authority_id)

    async def _known(self, certificate_id: UUID, epochs: set[int]) -> Known:
        """What is still good once it is known: an answer that came late is asked for again."""
        for _ in range(LOOKS):
            known = self._fence.leased(certificate_id, epochs) or await self._fence.look(certificate_id, epochs)
            if boottime() < known.until:
                return known
        raise FenceUnknown("the database answers too late")

    def _permitted(self, items: list[Waiting], found: Standings) -> list[Waiting]:
        """Those whose epoch is not over at this instant; the others are refused."""
        now, left = self._parts.clock(), []
        for item in items:
            standing = found.get(item.item.epoch)
            over = standing.over(now) if standing else "certificate-unknown"
            if over:
                item.refused(over, "this grant is over")
            else:
                left.append(item)
        return left

    def _ready(self, attempt: Attempt, ca: Ca, access: Access) -> bool:
        """Whether token and SAD are in hand."""
        if not self._tokens.good(access, attempt.refused_token, attempt.new_token):
            return False
        if attempt.sad is None:
            attempt.sad = self._in_hand(ca, access, attempt)
        return attempt.sad is not None

    async def _fetch(self, attempt: Attempt, ca: Ca, access: Access) -> None:
        """What was not in hand: the token first, since a SAD is asked for with it."""
        if not self._tokens.good(access, attempt.refused_token, attempt.new_token):
            # Its client secret may have been changed meanwhile, by another instance too.
            fresh = await self._parts.ca(access.certificate_authority_id)
            new = await self._tokens.refreshed(fresh, access.certificate_id, attempt.refused_token)
            attempt.new_token = new.token_version
            self._fence.doubt(access.certificate_id)
        else:
            attempt.sad = await self._fetched(attempt, ca, access)

    def _in_hand(self, ca: Ca, access: Access, attempt: Attempt) -> str | None:
        if ca.profile.signing == "implicit":
            return self._activation.take(access, len(attempt.hashes))
        if access.tokens is None or access.tokens.sad is None:
            raise NothingSigned("ca-refused", "this grant has no signature activation data: renew it")
        return access.tokens.sad

    async def _fetched(self, attempt: Attempt, ca: Ca, access: Access) -> str:
        try:
            return await self._activation.fetched(ca, access, self._tokens.held(access).access, len(attempt.hashes))
        except CscRefused as fault:
            raise NothingSigned(_word(fault), str(fault)) from None
        except CaAnswerUnknown as fault:  # a SAD more or less: nothing was signed
            raise NothingSigned("ca-unavailable", str(fault)) from None

    async def _signed(self, attempt: Attempt, ca: Ca, access: Access) -> bool:
        """Makes the call; False when it is to be judged once more: for a new SAD, or since connecting took too long."""
        lane = attempt.lane
        if len(attempt.hashes) > attempt.step:  # a renewal lowered it since they were taken
            lane.back(attempt.items)
            return True
        if lane.waiting and ca.profile.signing == "implicit":
            self._activation.ahead(ca, access, self._tokens.held(access).access, attempt.step)
        asked = Hashes(attempt.hashes, *lane.algorithms)
        try:
            token = self._tokens.held(access).access
            made = await ca.csc.sign(token, attempt.sad or "", access.credential_id, asked, attempt.until)
        except TooLate:
            return False
        except CscRefused as fault:
            self._breaker.reached(ca.profile.id)
            return self._refused(attempt, access, fault)
        self._breaker.reached(ca.profile.id)
        self._hand_out(attempt, made)
        return True

    def _hand_out(self, attempt: Attempt, made: list[str]) -> None:
        """Each item's signatures in the order of its hashes; one that is larger than a call goes on with its next part."""
        start, larger = 0, []
        for item in attempt.items:
            count = len(item.part(attempt.step))
            if not item.signed(made[start : start + count]):
                larger.append(item)
            start += count
        if larger:
            attempt.lane.go_on(larger)
        attempt.items = []

    def _refused(self, attempt: Attempt, access: Access, fault: CscRefused) -> bool:
        """A spent SAD is replaced, once. Of several items one may be at fault: since nothing was signed, each then goes alone.

        Where the SAD is the grant's, a renewal may have brought another one since it was read.
        """
        if not attempt.new_sad and _about(SAD_WORDS, fault):
            self._fence.doubt(access.certificate_id)
            self._activation.drop(access.certificate_id, attempt.sad)
            attempt.sad, attempt.new_sad = None, True
            return False
        if len(attempt.items) == 1 or _about(CREDENTIAL_WORDS, fault):
            raise NothingSigned(_word(fault), str(fault)) from None
        for item in attempt.items:
            item.alone = True
        attempt.lane.back(attempt.items)
        attempt.items = []
        return True

    async def _give_up(self, ca: Ca, seen: Access) -> None:
        """401 directly after a successful refresh: withdrawn. Returns when a renewal came between."""
        try:
            await self._tokens.withdrawn(ca, seen)
        except AccessWithdrawn as fault:
            raise NothingSigned(_reason(fault), str(fault)) from None
        except CaUnavailable as fault:
            raise NothingSigned("ca-unavailable", str(fault)) from None


def _reason(fault: AccessWithdrawn) -> str:
    return "epoch-over" if isinstance(fault, GrantOver) else "access-withdrawn"


def _word(fault: CscRefused) -> str:
    return "credential-disabled" if _about(("disabled",), fault) else "ca-refused"


def _about(words: tuple[str, ...], fault: CscRefused) -> bool:
    return any(word in fault.detail.lower() for word in words)
