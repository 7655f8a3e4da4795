"""One signing request from permit to released signatures. Nothing is released that is not charged, verified, told and in time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from itertools import count
from typing import Literal, NoReturn, Protocol
from uuid import UUID, uuid4

from msgspec import Struct
from prometheus_client import Counter

from hosting import Clock, boottime
from hosting.calls import CallNotSent, CallOutcomeUnknown, CallRefused, InternalCalls
from messaging import NotTold, Teller
from observability import get_logger, left_out, traceparent, tracer
from signing_gateway.algorithms import SigningAlgorithm
from signing_gateway.allowances import Need, Units
from signing_gateway.asking import Asker
from signing_gateway.authority import Authority
from signing_gateway.permission import KnownCertificate, Permit, permitted
from signing_gateway.projections import Known
from signing_gateway.refusals import (
    AccessRefused,
    AccessWithdrawn,
    AuthorityAway,
    AuthorityRefused,
    CredentialUnknown,
    EpochMoved,
    GrantExpired,
    NotCurrent,
    OutcomeUnknown,
    ServiceInactive,
    TokenInvalid,
)
from signing_gateway.verification import all_verify, public_key
from signing_gateway.wire import SignatureApplied, SignItem, SignResult

log = get_logger(__name__)
spans = tracer(__name__)

CURRENT_WITHIN = 10.0  # seconds since the state topics were last confirmed current
NEWS_PATIENCE = 5.0  # for the news of another epoch
ACTIVATION_PATIENCE = 1.0  # for the news that an operator has just activated the client service
NEWS_LOOK = 0.05
IN_A_THREAD = 16  # signatures from which verifying is worth a thread of its own

SIGNATURES = Counter("signatures_total", "Signatures by outcome: ok, unknown, late or failed", ["outcome"])
RELEASED = SIGNATURES.labels("ok")


class Topics(Protocol):
    """What signing asks of `messaging.StateTopics`."""

    @property
    def caught_up(self) -> bool:
        """Whether everything told before the start has been read."""
        ...

    def confirmed_age(self, at: float) -> float:
        """Seconds at boot time `at` since the topics were last confirmed current."""
        ...


class Order(Struct, frozen=True):
    """What is to be signed. `hashes` are base64 as they came, `digests` the same as bytes."""

    algorithm: SigningAlgorithm
    hashes: list[str]
    digests: Sequence[bytes]
    certificate_id: UUID | None = None  # the one it was made for; None: whichever is the client service's


class Signer:
    """Signs for client services, under their certificates' grants."""

    def __init__(
        self, *, known: Known, topics: Topics, asker: Asker, connector: InternalCalls, teller: Teller, clock: Clock
    ) -> None:
        self._known, self._topics, self._asker = known, topics, asker
        self._authority, self._teller, self._clock = Authority(connector), teller, clock
        self._item_ids = (f"{prefix}{number:012x}" for prefix in (str(uuid4())[:24],) for number in count())

    def permit(self, client_service_id: UUID) -> Permit:
        """The permit at this instant, or a refusal. What is certain is refused before what passes by itself."""
        service = self._known.services.get(client_service_id)
        if service is None or service.status == "deleted":
            if not self._topics.caught_up:
                raise NotCurrent
            raise TokenInvalid("The client service of this access token does not exist.")
        permit = permitted(
            service,
            self._known.certificates.get(service.certificate_id),
            self._known.accounts.get(service.account_id),
            self._known.grants.get(service.certificate_id),
            self._clock(),
        )
        if not self._current(boottime()):
            raise NotCurrent
        return permit

    def _current(self, at: float) -> bool:
        return self._topics.caught_up and self._topics.confirmed_age(at) <= CURRENT_WITHIN

    async def sign(self, client_service_id: UUID, order: Order) -> list[str]:
        """Base64 signatures in the order of the hashes. Raises a refusal of `refusals`."""
        permit, units = self._in_hand(client_service_id, len(order.hashes)) or await self._waited_for(
            client_service_id, len(order.hashes)
        )
        wanted, has = order.certificate_id, permit.certificate.certificate_id
        if wanted is not None and wanted is not has and wanted != has:
            self._failed(units, CredentialUnknown)  # the client service was moved to another certificate meanwhile
        if left_out():
            return await self._signed(permit, units, order)
        with spans.start_as_current_span("sign", attributes={"certificate_id": str(units.allowance.certificate_id)}):
            return await self._signed(permit, units, order)

    async def _signed(self, permit: Permit, units: Units, order: Order) -> list[str]:
        try:
            result = await self._asked_of_authority(permit, units, order)
            many = len(result.signatures) >= IN_A_THREAD
            held = permit.certificate, order, result.signatures
            if not (await asyncio.to_thread(_verified, *held) if many else _verified(*held)):
                log.error("signatures came back that do not verify", certificate_id=str(units.allowance.certificate_id))
                await self._unknown(permit, units, "What the certificate authority answered does not verify.")
            now = self._clock()
            if not self._in_time(permit, units, now):
                await self._unknown(permit, units, "The answer of the certificate authority came too late.", outcome="late")
            await self._told(permit, units, now)
        finally:
            # Whatever interrupts, cancellation too: units that have not come to an end are charged, never refunded.
            if not units.ended:
                SIGNATURES.labels("unknown").inc(units.count)
                self._asker.apply(units)
        if not self._in_time(permit, units, self._clock()):  # the telling may have taken long
            SIGNATURES.labels("late").inc(units.count)
            raise OutcomeUnknown("The signature could not be released in time.")
        RELEASED.inc(units.count)
        return result.signatures

    def _in_hand(self, client_service_id: UUID, count: int) -> tuple[Permit, Units] | None:
        """A permit and units of its very epoch, where nothing need be waited for."""
        try:
            permit = self.permit(client_service_id)
        except (EpochMoved, ServiceInactive):
            return None  # it may pass in a moment
        units = self._asker.in_hand(Need(permit.certificate.certificate_id, client_service_id, permit.grant.epoch, count))
        return (permit, units) if units else None

    async def _waited_for(self, client_service_id: UUID, count: int) -> tuple[Permit, Units]:
        """A permit and units of its very epoch. Judged again after any wait, since the world goes on meanwhile."""
        begun = boottime()
        while True:
            try:
                permit = self.permit(client_service_id)
                certificate_id = permit.certificate.certificate_id
                units = await self._asker.take(Need(certificate_id, client_service_id, permit.grant.epoch, count))
            except (EpochMoved, ServiceInactive) as refusal:
                patience = NEWS_PATIENCE if isinstance(refusal, EpochMoved) else ACTIVATION_PATIENCE
                if boottime() >= begun + patience:
                    raise
                await asyncio.sleep(NEWS_LOOK)
                continue
            try:
                permit_now = self.permit(client_service_id)
            except BaseException:
                self._asker.give_back(units)
                raise
            same = permit_now.certificate.certificate_id == certificate_id
            if same and permit_now.grant.epoch == permit.grant.epoch:
                return permit_now, units
            self._asker.give_back(units)

    async def _asked_of_authority(self, permit: Permit, units: Units, order: Order) -> SignResult:
        """The connector's result, outcome `signed`; every other outcome is a refusal, with the units given back or charged."""
        trace = None if left_out() else traceparent()
        item = SignItem(
            item_id=next(self._item_ids),
            certificate_id=permit.certificate.certificate_id,
            epoch=permit.grant.epoch,
            hashes=order.hashes,
            hash_algorithm_oid=order.algorithm.hash_oid,
            sign_algorithm_oid=order.algorithm.oid,
            traced=trace is not None,
        )
        try:
            result = await self._authority.asked(item, trace)
        except (CallNotSent, CallRefused) as fault:
            log.warning("the CA connector did not take a call", reason=str(fault))
            self._failed(units, AuthorityAway)
        except CallOutcomeUnknown as fault:
            log.warning("the CA connector gave no answer", reason=str(fault))
            await self._unknown(permit, units, "The certificate authority gave no answer in time.")
        if result.outcome == "unknown":
            await self._unknown(permit, units, "It is not known whether the certificate authority signed.")
        if result.outcome == "refused":
            self._failed(units, lambda: _refusal(result.reason, result.detail))
        return result

    def _in_time(self, permit: Permit, units: Units, now: datetime) -> bool:
        """A process that slept during the call knows nothing of what happened meanwhile."""
        at = boottime()
        return at < units.allowance.deadline and now < permit.grant.expires_at and self._current(at)

    async def _told(self, permit: Permit, units: Units, now: datetime) -> None:
        """Counts the units and tells them; returns only when every in-sync replica has the event."""
        try:
            await self._tell(permit, units, "applied", now)
        except NotTold as fault:
            SIGNATURES.labels("unknown").inc(units.count)
            log.exception("signatures are withheld: they could not be told", allowance_id=str(units.allowance.id))
            raise OutcomeUnknown("The signature could not be recorded.") from fault

    async def _unknown(
        self, permit: Permit, units: Units, what: str, *, outcome: Literal["unknown", "late"] = "unknown"
    ) -> NoReturn:
        """Charges the units and says so; a lost telling is healed by the next one of this allowance, or by its settlement."""
        SIGNATURES.labels(outcome).inc(units.count)
        try:
            await self._tell(permit, units, "unknown", self._clock())
        except NotTold as fault:
            log.warning("an unknown outcome could not be told", allowance_id=str(units.allowance.id), reason=str(fault))
        raise OutcomeUnknown(what)

    def _tell(self, permit: Permit, units: Units, outcome: Literal["applied", "unknown"], now: datetime) -> Awaitable[None]:
        first, total = self._asker.apply(units)
        told = SignatureApplied(
            certificate_id=units.allowance.certificate_id,
            epoch=units.allowance.epoch,
            client_service_id=permit.service.id,
            allowance_id=units.allowance.id,
            first=first,
            count=units.count,
            total=total,
            outcome=outcome,
        )
        return self._teller.tell(told, at=now)

    def _failed(self, units: Units, why: Callable[[], Exception]) -> NoReturn:
        """Certainly nothing was signed: the units go back."""
        SIGNATURES.labels("failed").inc(units.count)
        self._asker.give_back(units)
        raise why() from None


def _verified(certificate: KnownCertificate, order: Order, signatures: list[str]) -> bool:
    """Whether every signature is the certificate's own, over the hash in its place."""
    try:
        key = public_key(certificate.leaf)
    except (ValueError, IndexError):
        log.exception("a certificate's chain cannot be read", certificate_id=str(certificate.certificate_id))
        return False
    return all_verify(key, order.algorithm.hash_oid, order.digests, signatures)


def _refusal(reason: str | None, detail: str | None) -> Exception:
    """What a definite refusal of the connector means to a client. Reasons: `contracts.ca_connector.SignResult`."""
    match reason:
        case "epoch-over":
            return GrantExpired()
        case "access-withdrawn":
            return AccessWithdrawn()
        case "credential-disabled":
            return AccessRefused(
                "The certificate is disabled at the certificate authority. Its owner has to contact the authority."
            )
        case "ca-unavailable":
            return AuthorityAway()
        case "certificate-unknown":
            return AccessRefused("There is no access to this certificate. An operator of the account has to renew it.")
        case _:
            return AuthorityRefused(f"The certificate authority refused the request. {detail or ''}".strip())
