"""Signing at a CA: the fence, the SAD, one call per `multisign` hashes, and an honest outcome."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from ca_connector.bulk import Reply, SignItem, SignResult
from ca_connector.csc import CscRefused, Described, Hashes, TokenRefused
from ca_connector.outbound import CaAnswerUnknown, CaNotReached
from ca_connector.parts import Ca, Parts
from ca_connector.sealing import SealBroken
from ca_connector.storage.access import Access, access_to, fence
from ca_connector.tokens import AccessTokens, AccessWithdrawn, CaUnavailable, GrantOver
from ca_connector.walk import CertificateUnknown
from hosting import boottime
from hosting.address import AddressRefused
from observability import get_logger, tracer

log = get_logger(__name__)

MAX_HASHES_PER_CALL = 1_000
BREAK_AFTER, BREAK_S = 5, 2.0
SAD_SKEW_S = 30
NOT_SENT = (SealBroken, SQLAlchemyError, AddressRefused, OSError)  # ours, and always before the call is made
SAD_WORDS = ("sad", "numbers of signatures", "number of signatures")


@dataclass
class Pooled:
    """A SAD for several calls, at a CA that gives it for the asking."""

    sad: str
    left: int
    ends: float  # seconds since the epoch, our clock


class NothingSigned(Exception):
    """The CA certainly made no signature. `reason` is SignResult's."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


class Signing:
    """Signs items. SADs are pooled per certificate in memory; losing them costs one call."""

    def __init__(self, parts: Parts, tokens: AccessTokens) -> None:
        self._parts, self._tokens = parts, tokens
        self._pool: dict[UUID, Pooled] = {}
        self._locks: dict[UUID, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._away: dict[UUID, tuple[int, float]] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    def take(self, items: list[SignItem], reply: Reply) -> None:
        """Begins to sign: each item's result goes to `reply` as soon as it is known."""
        for item in items:
            task = asyncio.create_task(self._answer(item, reply))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _answer(self, item: SignItem, reply: Reply) -> None:
        result = SignResult(item.item_id, "unknown", reason="ca-answer-unknown")
        try:
            result = await self.sign(item)
        finally:
            reply.add(result)

    async def sign(self, item: SignItem) -> SignResult:
        """What became of one item; never raises for what a CA does."""
        made: list[str] = []
        with tracer(__name__).start_as_current_span("sign at the CA") as span:
            span.set_attributes({"sinete.certificate_id": str(item.certificate_id), "sinete.hashes": len(item.hashes)})
            try:
                await self._sign_all(item, made)
            except NothingSigned as fault:
                return self._unsigned(item, made, fault)
            except NOT_SENT as fault:
                log.exception("nothing was sent to the CA", certificate_id=str(item.certificate_id))
                return self._unsigned(item, made, NothingSigned("ca-unavailable", f"not sent ({type(fault).__name__})"))
            except CaAnswerUnknown as fault:
                return self._unknown(item, str(fault))
        return SignResult(item_id=item.item_id, outcome="signed", signatures=made)

    def _unsigned(self, item: SignItem, made: list[str], fault: NothingSigned) -> SignResult:
        """Refused; but unknown as a whole where earlier parts were signed."""
        if made:
            return self._unknown(item, f"a later part failed: {fault.detail}")
        return SignResult(item_id=item.item_id, outcome="refused", reason=fault.reason, detail=fault.detail)

    def _unknown(self, item: SignItem, detail: str) -> SignResult:
        log.warning("nobody knows whether the CA signed", certificate_id=str(item.certificate_id), reason=detail)
        return SignResult(item_id=item.item_id, outcome="unknown", reason="ca-answer-unknown", detail=detail)

    async def _sign_all(self, item: SignItem, made: list[str]) -> None:
        async with self._parts.sessions() as session:
            over = await fence(session, item.certificate_id, item.epoch, self._parts.clock())
            if over is not None:
                raise NothingSigned(over, "this grant is over")
            try:
                access = await access_to(session, item.certificate_id, self._parts.sealer)
            except CertificateUnknown as fault:
                raise NothingSigned("certificate-unknown", str(fault)) from None
        ca = await self._parts.ca(access.certificate_authority_id)
        self._refuse_if_away(ca)
        step = min(access.multisign, MAX_HASHES_PER_CALL)
        for start in range(0, len(item.hashes), step):
            chunk = item.hashes[start : start + step]
            asked = Hashes(chunk, item.hash_algorithm_oid, item.sign_algorithm_oid, item.sign_algorithm_params)
            made += await self._sign_chunk(ca, item.certificate_id, asked)

    async def _sign_chunk(self, ca: Ca, certificate_id: UUID, asked: Hashes) -> list[str]:
        """One signHash. A 401 or a spent SAD is a certain refusal, so the call is made once more with a new one."""
        refused_token: int | None = None
        renewed_sad = False
        while True:
            try:
                access = await self._tokens.of(ca, certificate_id, refused=refused_token)
                sad = await self._sad(ca, access, len(asked.hashes))
                signed = await ca.csc.sign(_token(access), sad, access.credential_id, asked)
            except TokenRefused:
                self._pool.pop(certificate_id, None)
                if refused_token is not None:
                    await self._give_up(ca, access)
                refused_token = access.token_version
            except CscRefused as fault:
                if renewed_sad or ca.profile.signing != "implicit" or not _about_sad(fault):
                    raise NothingSigned("ca-refused", str(fault)) from None
                self._pool.pop(certificate_id, None)
                renewed_sad = True
            except AccessWithdrawn as fault:
                raise NothingSigned(_reason(fault), str(fault)) from None
            except CaUnavailable as fault:
                raise NothingSigned("ca-unavailable", str(fault)) from None
            except CaNotReached as fault:
                self._note_away(ca)
                raise NothingSigned("ca-unavailable", str(fault)) from None
            else:
                self._away.pop(ca.profile.id, None)
                return signed

    async def _give_up(self, ca: Ca, seen: Access) -> None:
        """401 directly after a successful refresh: withdrawn. Returns when a renewal came between."""
        try:
            await self._tokens.withdrawn(ca, seen)
        except AccessWithdrawn as fault:
            raise NothingSigned(_reason(fault), str(fault)) from None
        except CaUnavailable as fault:
            raise NothingSigned("ca-unavailable", str(fault)) from None

    async def _sad(self, ca: Ca, access: Access, count: int) -> str:
        """A SAD for `count` more signatures."""
        if ca.profile.signing == "sad-per-grant":
            if access.tokens is None or access.tokens.sad is None:
                raise NothingSigned("ca-refused", "this grant has no signature activation data: renew it")
            return access.tokens.sad
        async with self._locks[access.certificate_id]:
            pooled, now = self._pool.get(access.certificate_id), self._parts.clock().timestamp()
            if pooled is None or pooled.left < count or pooled.ends - SAD_SKEW_S <= now:
                pooled = await self._new_sad(ca, access, now)
                self._pool[access.certificate_id] = pooled
            pooled.left -= count
            return pooled.sad

    async def _new_sad(self, ca: Ca, access: Access, now: float) -> Pooled:
        described = Described(
            access.credential_id, enabled=True, chain=[], multisign=access.multisign, asks=[], otp_object="", pin_object=""
        )
        try:
            sad = await ca.csc.authorize(_token(access), described, min(access.multisign, MAX_HASHES_PER_CALL))
        except CaAnswerUnknown as fault:  # a SAD more or less: nothing was signed
            raise NothingSigned("ca-unavailable", str(fault)) from None
        return Pooled(sad.value, sad.count, now + sad.expires_in)

    def _note_away(self, ca: Ca) -> None:
        count, _ = self._away.get(ca.profile.id, (0, 0.0))
        self._away[ca.profile.id] = count + 1, boottime()

    def _refuse_if_away(self, ca: Ca) -> None:
        count, since = self._away.get(ca.profile.id, (0, 0.0))
        if count >= BREAK_AFTER and boottime() - since < BREAK_S:
            raise NothingSigned("ca-unavailable", "the CA cannot be reached")


def _token(access: Access) -> str:
    if access.tokens is None:
        raise AccessWithdrawn("the access to this certificate is over: it has to be renewed")
    return access.tokens.access


def _reason(fault: AccessWithdrawn) -> str:
    return "epoch-over" if isinstance(fault, GrantOver) else "access-withdrawn"


def _about_sad(refused: CscRefused) -> bool:
    return any(word in refused.detail.lower() for word in SAD_WORDS)
