"""`/ca/…`: the operator's browser goes to the CA with a one-use ticket and comes back with the OAuth state. HTML, no login.

Whoever comes back proves to be who left by a cookie that opening the ticket set; state and cookie hold once.
"""

import asyncio
import hmac
from collections.abc import Awaitable
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import ValidationError
from starlette.datastructures import QueryParams

from certificate_registry import pages, secret, walk
from certificate_registry.routes.parts import AppParts, Parts
from certificate_registry.routes.walking import adopted
from certificate_registry.storage import walks
from certificate_registry.storage.tables import AccountRow, CertificateRow, OperatorRow, WalkRow
from contracts.ca_connector import Authorisation, Callback, CertificateAuthority
from hosting.calls import CallNotSent, CallOutcomeUnknown, CallRefused
from hosting.database import AWAY, is_away
from observability import carried_on, get_logger

router = APIRouter(prefix="/ca", include_in_schema=False)
log = get_logger(__name__)
COOKIE_S = 1800
TRIES = 5
PATIENCE_S = 1.0


@router.get("/authorisations/{ticket}")
async def go_to_ca(parts: AppParts, ticket: str) -> Response:
    """Uses the ticket up, binds the browser by a cookie, and goes on to the CA."""
    return await _or_page(_to_ca(parts, ticket), pages.try_again())


async def _to_ca(parts: Parts, ticket: str) -> Response:
    now = parts.clock()
    async with parts.sessions() as session:
        row = await walks.by_ticket(session, secret.digest(ticket))
    if row is None or row.ended_at or row.ticket_used_at or not walk.ticket_holds(row.ticket_until, now):
        return _page(pages.no_ticket(), 400)
    if not await _may_walk(parts, row):
        return _page(pages.not_now(), 400)
    try:
        with carried_on("go to the CA", row.traceparent):
            outcome = await parts.connector.authorisation(row.id)
    except (CallNotSent, CallOutcomeUnknown, CallRefused):
        return _page(pages.try_again(), 503)
    if not _goes_to_ca(outcome):
        return _page(pages.no_ticket(), 400)
    assert outcome.state is not None
    assert outcome.authorization_url is not None
    cookie = secret.new()
    async with parts.sessions.begin() as session:
        bound = await walks.use_ticket(
            session, row.id, state=secret.digest(outcome.state), cookie=secret.digest(cookie), now=parts.clock()
        )
    if not bound:
        return _page(pages.no_ticket(), 400)
    answer = RedirectResponse(outcome.authorization_url, 302)
    name = _cookie_name(parts, row.id)
    answer.set_cookie(name, cookie, max_age=COOKIE_S, path="/", secure=parts.https, httponly=True, samesite="lax")
    return answer


def _goes_to_ca(outcome: Authorisation) -> bool:
    url = urlsplit(outcome.authorization_url or "")
    return outcome.status == "awaiting-ca" and bool(outcome.state) and url.scheme in {"http", "https"} and bool(url.netloc)


@router.get("/callback")
async def come_back(parts: AppParts, request: Request) -> Response:
    """The CA's redirect. State and cookie are used up before the connector is told, so it is told once."""
    return await _or_page(_back(parts, request), pages.not_known_yet())


async def _back(parts: Parts, request: Request) -> Response:
    brought = _read(request.query_params)
    row = await _bound(parts, request, brought) if brought else None
    if row is None or brought is None:
        return _page(pages.not_bound(), 400)
    try:
        with carried_on("come back from the CA", row.traceparent):
            outcome = await _told(parts, row.id, brought)
    except CallRefused as refusal:
        log.warning("the connector refused a callback", walk_id=str(row.id), kind=refusal.kind)
        return _gone(parts, row, _page(pages.not_bound(), 400))
    except (CallNotSent, CallOutcomeUnknown):
        return _gone(parts, row, _page(pages.not_known_yet(), 503))
    row = await adopted(parts, row.id, outcome)
    return _gone(parts, row, _page(await _outcome_page(parts, row, outcome), 200))


def _read(query: QueryParams) -> Callback | None:
    """What came back, or None where it is not an answer of RFC 6749: each parameter once, and a code or an error."""
    values: dict[str, str] = {}
    for name, value in query.multi_items():
        if name in {"state", "code", "iss", "error"}:
            if name in values:
                return None
            values[name] = value
    if not values.get("state") or not (values.get("code") or values.get("error")):
        return None
    try:
        return Callback.model_validate(values)
    except ValidationError:
        return None


async def _bound(parts: Parts, request: Request, brought: Callback) -> WalkRow | None:
    """The walk that this browser went on, its state used up; None (and nothing changed) for anybody else."""
    state = secret.digest(brought.state)
    async with parts.sessions() as session:
        row = await walks.by_state(session, state)
    if row is None or row.cookie_digest is None:
        return None
    cookie = secret.digest(request.cookies.get(_cookie_name(parts, row.id), ""))
    if not hmac.compare_digest(cookie, row.cookie_digest):
        return None
    if not await _may_walk(parts, row):
        return None
    async with parts.sessions.begin() as session:
        return row if await walks.use_state(session, row.id, state, parts.clock()) else None


async def _may_walk(parts: Parts, row: WalkRow) -> bool:
    """Whether the account and the operator who began still work: nobody renews for a suspended account."""
    async with parts.sessions() as session:
        account = await session.get_one(AccountRow, row.account_id)
        operator = await session.get_one(OperatorRow, row.operator_id)
    return account.status == "active" and operator.status == "active"


async def _told(parts: Parts, walk_id: UUID, brought: Callback) -> Authorisation:
    """Tells the connector, again where no answer came: it answers a repeated callback with what stands."""
    for tries_left in reversed(range(TRIES)):
        try:
            return await parts.connector.callback(walk_id, brought)
        except (CallNotSent, CallOutcomeUnknown):
            if not tries_left:
                raise
            await asyncio.sleep(PATIENCE_S)
    raise AssertionError("unreachable")


async def _outcome_page(parts: Parts, row: WalkRow, outcome: Authorisation) -> str:
    async with parts.sessions() as session:
        certificate = await session.get_one(CertificateRow, row.certificate_id)
        account = await session.get_one(AccountRow, row.account_id)
    authority: CertificateAuthority | None = None
    if row.status in {"failed", "cancelled"}:
        try:
            authority = await parts.connector.authority(row.certificate_authority_id)
        except (CallNotSent, CallOutcomeUnknown, CallRefused):
            authority = None
    return pages.outcome(row.kind, outcome, alias=certificate.alias, zone=account.zone, authority=authority)


def _cookie_name(parts: Parts, walk_id: UUID) -> str:
    """One name per walk, so that two walks in one browser do not hinder each other."""
    return f"{'__Host-' if parts.https else ''}sinete-walk-{walk_id.hex[:16]}"


def _gone(parts: Parts, row: WalkRow, answer: Response) -> Response:
    answer.delete_cookie(_cookie_name(parts, row.id), path="/", secure=parts.https, httponly=True, samesite="lax")
    return answer


async def _or_page(answer: Awaitable[Response], html: str) -> Response:
    """People read this: while the database is away they get a page, too."""
    try:
        return await answer
    except AWAY as fault:
        if not is_away(fault):
            raise
        log.warning("the database is away", kind=type(fault).__name__)
        return _page(html, 503)


def _page(html: str, status: int) -> Response:
    return HTMLResponse(html, status)
