"""`POST /certificates` and `/registrations`: the first walk to a CA, at whose end there is a certificate."""

from datetime import datetime
from uuid import UUID, uuid4

from fastapi import APIRouter, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry.roles import Caller, demand_active
from certificate_registry.routes import walking
from certificate_registry.routes.fields import Empty, Input, Name, Text
from certificate_registry.routes.parts import AppParts, Operator, at
from certificate_registry.routes.walking import Codes, RegistrationShown
from certificate_registry.storage.tables import AccountRow, CertificateRow, WalkRow
from contracts.ca_connector import CertificateAuthority, ChosenCredential

begin_router = APIRouter(prefix="/certificates", tags=["certificates"])
router = APIRouter(prefix="/registrations", tags=["registrations"])


class NewCertificate(Input):
    """What an operator says of a certificate before the walk."""

    alias: Name
    certificate_authority_id: UUID
    scope_of_use: Text = ""


class RegistrationBegun(BaseModel):
    """The certificate's id, the registration's, and where the operator's browser goes next (good for 2 minutes, once)."""

    id: UUID
    registration_id: UUID
    authorization_url: str | None


class CredentialChoice(ChosenCredential, Input):
    """One of those offered."""


@begin_router.post("", status_code=201)
async def begin_registration(parts: AppParts, caller: Operator, new: NewCertificate, response: Response) -> RegistrationBegun:
    """Begins a registration. The certificate is listed once it is completed."""
    caller.writes("certificate")
    assert caller.account_id is not None
    async with parts.sessions() as session:
        demand_active((await session.get_one(AccountRow, caller.account_id)).status)
    authority = await parts.connector.authority(new.certificate_authority_id)
    now = parts.clock()
    async with parts.sessions.begin() as session:
        row = await _add(session, caller, new, authority, now)
    row = await walking.begin(parts, row)
    response.headers.update(at(row.id, "registrations"))
    url = walking.shown(parts, row, now)["authorization_url"]
    return RegistrationBegun(id=row.certificate_id, registration_id=row.id, authorization_url=url)


async def _add(
    session: AsyncSession, caller: Caller, new: NewCertificate, authority: CertificateAuthority, now: datetime
) -> WalkRow:
    assert caller.account_id is not None
    certificate = CertificateRow(
        id=uuid4(),
        version=0,
        account_id=caller.account_id,
        alias=new.alias,
        registered_at=now,
        certificate_authority_id=authority.id,
        certificate_authority_name=authority.name,
        status="pending",
        scope_of_use=new.scope_of_use,
    )
    session.add(certificate)
    await session.flush()
    row = walking.new_walk("registration", certificate, caller, now)
    session.add(row)
    walking.record_begun(session, row, now)
    return row


@router.get("/{registration_id}")
async def read_registration(parts: AppParts, caller: Operator, registration_id: UUID) -> RegistrationShown:
    """How the registration stands, and what it offers."""
    row = await walking.current(parts, caller, registration_id, "registration")
    return RegistrationShown(**walking.shown(parts, row, parts.clock()))


@router.post("/{registration_id}/credential")
async def choose_credential(
    parts: AppParts, caller: Operator, registration_id: UUID, choice: CredentialChoice
) -> RegistrationShown:
    """Chooses one of the credentials that the account at the CA offers."""
    await walking.demand_open(parts, caller, registration_id, "registration")
    row = await walking.go_on(parts, registration_id, parts.connector.choose(registration_id, choice.credential_id))
    return RegistrationShown(**walking.shown(parts, row, parts.clock()))


@router.post("/{registration_id}/authorisation")
async def authorise_registration(parts: AppParts, caller: Operator, registration_id: UUID, codes: Codes) -> RegistrationShown:
    """The codes that the CA asks for, where our own dialog takes them."""
    row = await walking.answer(parts, caller, registration_id, "registration", codes)
    return RegistrationShown(**walking.shown(parts, row, parts.clock()))


@router.post("/{registration_id}/challenge")
async def resend_registration_code(
    parts: AppParts, caller: Operator, registration_id: UUID, _: Empty = None
) -> RegistrationShown:
    """Has a new one-time code sent."""
    await walking.demand_open(parts, caller, registration_id, "registration")
    row = await walking.go_on(parts, registration_id, parts.connector.challenge(registration_id))
    return RegistrationShown(**walking.shown(parts, row, parts.clock()))


@router.post("/{registration_id}/cancellation")
async def cancel_registration(parts: AppParts, caller: Operator, registration_id: UUID, _: Empty = None) -> RegistrationShown:
    """Ends the registration; nothing is registered."""
    await walking.demand_open(parts, caller, registration_id, "registration")
    row = await walking.go_on(parts, registration_id, parts.connector.cancel(registration_id))
    return RegistrationShown(**walking.shown(parts, row, parts.clock()))
