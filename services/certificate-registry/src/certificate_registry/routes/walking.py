"""What registrations and renewals share: beginning a walk, asking how it stands, and the codes our own dialog takes."""

from collections.abc import Awaitable
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from pydantic import BaseModel, Field, SecretStr
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry import walk
from certificate_registry.outcomes import adopt, adopt_never_begun
from certificate_registry.roles import Caller, NotVisible, demand_active
from certificate_registry.routes.fields import Input
from certificate_registry.routes.parts import Parts
from certificate_registry.storage import grants
from certificate_registry.storage.audit_trail import record
from certificate_registry.storage.sight import one_seen
from certificate_registry.storage.tables import AccountRow, CertificateRow, WalkRow
from contracts.ca_connector import Authorisation, Begin, CodesAnswer, OfferedCredential
from hosting.calls import CallNotSent, CallOutcomeUnknown, CallRefused
from observability import traceparent

Code = Annotated[SecretStr, Field(min_length=1, max_length=64)]


class Codes(Input):
    """What the CA asks for, as typed. Lives as long as this request."""

    otp: Code | None = None
    pin: Code | None = None


class WalkShown(BaseModel):
    """A walk as it stands. `authorization_url` is null where the CA's pages are not needed, or once it was opened."""

    id: UUID
    certificate_id: UUID
    status: walk.Status
    reason: str | None
    advice: str | None  # a sentence that says what to do
    authorization_url: str | None
    asks: list[Literal["otp", "pin"]]
    answer_by: datetime | None
    attempts_left: int | None
    begun_at: datetime


class RegistrationShown(WalkShown):
    """A registration, with the credentials that the account at the CA offers, those that can be chosen first."""

    offered: list[OfferedCredential]


def shown(parts: Parts, row: WalkRow, now: datetime) -> dict[str, Any]:
    """The row for a WalkShown or RegistrationShown."""
    told = {name: getattr(row, name) for name in RegistrationShown.model_fields if hasattr(row, name)}
    good = row.status == "awaiting-ca" and row.ticket_used_at is None and walk.ticket_holds(row.ticket_until, now)
    url = walk.authorization_url(parts.public_url, walk.ticket_of(parts.ticket_key, row.id)) if good else None
    advice = walk.ADVICE.get(row.reason) if row.reason and row.ended_at else None
    offered = sorted(row.offered, key=lambda offer: not offer["usable"])
    return {**told, "authorization_url": url, "advice": advice, "offered": offered}


def new_walk(kind: walk.Kind, certificate: CertificateRow, caller: Caller, now: datetime) -> WalkRow:
    """A walk that is about to be begun."""
    return WalkRow(
        id=uuid4(),
        kind=kind,
        certificate_id=certificate.id,
        account_id=certificate.account_id,
        operator_id=caller.operator_id,
        certificate_authority_id=certificate.certificate_authority_id,
        status="awaiting-ca",
        begun_at=now,
        checked_at=now,
        offered=[],
        asks=[],
        traceparent=traceparent(),
    )


def record_begun(session: AsyncSession, row: WalkRow, now: datetime) -> None:
    """Who began it."""
    record(
        session,
        f"{row.kind}-begun",
        actor=row.operator_id,
        kind="certificate",
        id=row.certificate_id,
        account_id=row.account_id,
        now=now,
        walk_id=row.id,
    )


async def begin(parts: Parts, row: WalkRow) -> WalkRow:
    """Begins the stored walk at the connector. One that certainly was not begun ends at once."""
    begun = Begin(
        id=row.id,
        kind=row.kind,
        certificate_id=row.certificate_id,
        certificate_authority_id=row.certificate_authority_id,
        operator_id=row.operator_id,
    )
    try:
        outcome = await parts.connector.begin(begun)
    except (CallNotSent, CallRefused):
        await adopt_never_begun(parts.sessions, row.id, parts.clock(), ticket_key=parts.ticket_key)
        raise
    return await adopted(parts, row.id, outcome)


async def seen_walk(session: AsyncSession, caller: Caller, walk_id: UUID, kind: walk.Kind) -> WalkRow:
    """The walk of that id and kind, where the operator sees it."""
    row = await one_seen(session, caller, WalkRow, walk_id)
    if row.kind != kind:
        raise NotVisible(f"There is no {kind} of this id.")
    return row


async def current(parts: Parts, caller: Caller, walk_id: UUID, kind: walk.Kind) -> WalkRow:
    """The walk as the connector says it stands now; as it was last known while the connector cannot be asked."""
    async with parts.sessions() as session:
        row = await seen_walk(session, caller, walk_id, kind)
    if row.ended_at is not None:
        return row
    try:
        return await adopted(parts, walk_id, await parts.connector.authorisation(walk_id))
    except (CallNotSent, CallOutcomeUnknown, CallRefused):
        return row


async def demand_open(parts: Parts, caller: Caller, walk_id: UUID, kind: walk.Kind) -> WalkRow:
    """The walk, where this operator may go on with it. Raises WalkOver, AccountSuspended and so on."""
    async with parts.sessions() as session:
        row = await seen_walk(session, caller, walk_id, kind)
        caller.writes("certificate")
        demand_active((await session.get_one(AccountRow, row.account_id)).status)
    if row.ended_at is not None:
        raise walk.WalkOver(f"The {kind} has ended ({row.status}). Begin a new one.")
    return row


async def go_on(parts: Parts, walk_id: UUID, step: Awaitable[Authorisation]) -> WalkRow:
    """The walk after one more step at the connector."""
    return await adopted(parts, walk_id, await step)


async def answer(parts: Parts, caller: Caller, walk_id: UUID, kind: walk.Kind, codes: Codes) -> WalkRow:
    """Hands the typed codes over, once. Raises CodeRefused, with the attempts that are left, where they did not do."""
    row = await demand_open(parts, caller, walk_id, kind)
    try:
        outcome = await parts.connector.answer(walk_id, CodesAnswer(otp=codes.otp, pin=codes.pin))
    except CallRefused as fault:
        if refused := walk.code_refused_with(fault.members):
            raise refused from None
        raise
    row = await adopted(parts, walk_id, outcome)
    if refusal := walk.refused_code(outcome):
        raise refusal
    return row


async def adopted(parts: Parts, walk_id: UUID, outcome: Authorisation) -> WalkRow:
    """The walk after `outcome`. One just completed waits for the news of its grant, so that whoever goes on at once finds it."""
    row = await adopt(parts.sessions, walk_id, outcome, parts.clock(), ticket_key=parts.ticket_key)
    if row.status == "completed" and outcome.granted is not None:
        await grants.heard(parts.sessions, row.certificate_id, outcome.granted.epoch, within_s=parts.news_within_s)
    return row
