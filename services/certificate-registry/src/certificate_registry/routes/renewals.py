"""`/certificates/{id}/renewals` and `/renewals`: the walk that opens the next epoch."""

from uuid import UUID

from fastapi import APIRouter, Response

from certificate_registry.roles import demand_active
from certificate_registry.routes import walking
from certificate_registry.routes.certificates import writable
from certificate_registry.routes.fields import Empty
from certificate_registry.routes.parts import AppParts, Operator, at
from certificate_registry.routes.walking import Codes, WalkShown
from certificate_registry.storage.tables import AccountRow

begin_router = APIRouter(prefix="/certificates/{certificate_id}/renewals", tags=["renewals"])
router = APIRouter(prefix="/renewals", tags=["renewals"])


@begin_router.post("", status_code=201)
async def begin_renewal(
    parts: AppParts, caller: Operator, certificate_id: UUID, response: Response, _: Empty = None
) -> WalkShown:
    """Begins a renewal, at any time before or after the expiry. It reactivates no client service."""
    now = parts.clock()
    async with parts.sessions.begin() as session:
        certificate = await writable(session, caller, certificate_id)
        demand_active((await session.get_one(AccountRow, certificate.account_id)).status)
        row = walking.new_walk("renewal", certificate, caller, now)
        session.add(row)
        walking.record_begun(session, row, now)
    row = await walking.begin(parts, row)
    response.headers.update(at(row.id, "renewals"))
    return WalkShown(**walking.shown(parts, row, now))


@router.get("/{renewal_id}")
async def read_renewal(parts: AppParts, caller: Operator, renewal_id: UUID) -> WalkShown:
    """How the renewal stands."""
    row = await walking.current(parts, caller, renewal_id, "renewal")
    return WalkShown(**walking.shown(parts, row, parts.clock()))


@router.post("/{renewal_id}/authorisation")
async def authorise_renewal(parts: AppParts, caller: Operator, renewal_id: UUID, codes: Codes) -> WalkShown:
    """The codes that the CA asks for, where our own dialog takes them. A wrong one leaves the renewal waiting."""
    row = await walking.answer(parts, caller, renewal_id, "renewal", codes)
    return WalkShown(**walking.shown(parts, row, parts.clock()))


@router.post("/{renewal_id}/challenge")
async def resend_renewal_code(parts: AppParts, caller: Operator, renewal_id: UUID, _: Empty = None) -> WalkShown:
    """Has a new one-time code sent."""
    await walking.demand_open(parts, caller, renewal_id, "renewal")
    row = await walking.go_on(parts, renewal_id, parts.connector.challenge(renewal_id))
    return WalkShown(**walking.shown(parts, row, parts.clock()))


@router.delete("/{renewal_id}")
@router.post("/{renewal_id}/cancellation")
async def cancel_renewal(parts: AppParts, caller: Operator, renewal_id: UUID, _: Empty = None) -> WalkShown:
    """Ends the renewal; the grant stays as it was."""
    await walking.demand_open(parts, caller, renewal_id, "renewal")
    row = await walking.go_on(parts, renewal_id, parts.connector.cancel(renewal_id))
    return WalkShown(**walking.shown(parts, row, parts.clock()))
