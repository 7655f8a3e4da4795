"""`/client-certificates/retrieval/{link}` and `…/loss/{token}`: a contact's pages. HTML without script; the link is the address.

A link alone opens nothing: a one-time password admits the browser by a cookie. A form's answer is a page or a way to one; opening
a page changes nothing, since mail scanners open links too.
"""

from collections.abc import Awaitable, Sequence
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from certificate_registry import client_ca, contact_pages, pages, secret
from certificate_registry.certificate_request import RequestRefused
from certificate_registry.client_certificate import CertificateOver, NotOrdered
from certificate_registry.handing_out import Fetchable
from certificate_registry.retrieval import SESSION_GOOD_FOR, LinkOver, NoMorePasswords, NotAdmitted, Part, PasswordRefused
from certificate_registry.roles import AccountNotApproved, AccountSuspended
from certificate_registry.routes.file_in_parts import file_in_parts
from certificate_registry.routes.parts import AppParts, Parts
from hosting.database import AWAY, is_away
from observability import get_logger

router = APIRouter(prefix="/client-certificates", include_in_schema=False)
log = get_logger(__name__)
AT = "/client-certificates/retrieval"
MAX_FIELDS = 10


@router.get("/retrieval/{link}")
async def open_link(parts: AppParts, request: Request, link: str) -> Response:
    """Asks for the one-time password, or offers what it opened."""
    return await _or_page(_open(parts, request, link))


async def _open(parts: Parts, request: Request, link: str) -> Response:
    order = await parts.hands_out.look(link, _cookie(parts, request, link))
    return _page(_page_of(order, link), 200)


def _page_of(order: Fetchable, link: str, *, refused: str | None = None, sent: bool = False, defects: Sequence[str] = ()) -> str:
    """The page for how the order stands, with what just happened."""
    name, at = order.row.client_name, f"{AT}/{link}"
    if order.row.status == "issued" and order.row.issued_by == "request":
        return contact_pages.issued(name, at)
    if order.row.status == "issued":
        return contact_pages.fetched(name)
    if order.row.status != "ordered":
        return contact_pages.over(name, order.row.status)
    if order.admitted:
        return contact_pages.choices(name, at, refused=refused, defects=defects)
    return contact_pages.entrance(name, at, may_send=order.may_send, refused=refused, sent=sent)


@router.post("/retrieval/{link}/password")
async def enter_password(parts: AppParts, request: Request, link: str) -> Response:
    """Admits this browser, or says how many attempts are left."""
    return await _or_page(_enter(parts, request, link))


async def _enter(parts: Parts, request: Request, link: str) -> Response:
    typed = (await _form(request)).get("password", "")
    try:
        cookie = await parts.hands_out.admit(link, typed)
    except PasswordRefused as refusal:
        order = await parts.hands_out.look(link, _cookie(parts, request, link))
        return _page(_page_of(order, link, refused=str(refusal)), 422)
    answer = RedirectResponse(f"{AT}/{link}", 303)
    answer.set_cookie(
        _cookie_name(parts, link),
        cookie,
        max_age=int(SESSION_GOOD_FOR.total_seconds()),
        path="/",
        secure=parts.https,
        httponly=True,
        samesite="lax",
    )
    return answer


@router.post("/retrieval/{link}/new-password")
async def send_another(parts: AppParts, request: Request, link: str) -> Response:
    """Sends a new one-time password by SMS."""
    return await _or_page(_send_another(parts, request, link))


async def _send_another(parts: Parts, request: Request, link: str) -> Response:
    try:
        await parts.hands_out.send_another(link)
    except (NoMorePasswords, NotOrdered) as refusal:
        order = await parts.hands_out.look(link, _cookie(parts, request, link))
        return _page(_page_of(order, link, refused=str(refusal)), 409)
    order = await parts.hands_out.look(link, "")
    return _page(_page_of(order, link, sent=True), 200)


@router.get("/retrieval/{link}/file")
async def fetch_file(parts: AppParts, request: Request, link: str) -> Response:
    """The PKCS#12 file or a part of it. When all of it was sent, its password goes by SMS and the file is forgotten."""
    return await _or_page(_fetch(parts, request, link))


async def _fetch(parts: Parts, request: Request, link: str) -> Response:
    hands_out, cookie = parts.hands_out, _cookie(parts, request, link)
    file = await hands_out.file(link, cookie)

    async def went(part: Part, over: bool) -> None:
        await hands_out.handed_out(link, cookie, file, part, over=over)

    name = _file_name((await hands_out.look(link, cookie)).row.client_name)
    return file_in_parts(
        request,
        file.content,
        handed_out=file.handed_out,
        sha256=file.sha256,
        kind="application/x-pkcs12",
        name=f"{name}.p12",
        went=went,
    )


@router.post("/retrieval/{link}/request")
async def hand_in(parts: AppParts, request: Request, link: str) -> Response:
    """Issues the certificate for a pasted request, or says what is wrong with it."""
    return await _or_page(_hand_in(parts, request, link))


async def _hand_in(parts: Parts, request: Request, link: str) -> Response:
    pem = (await _form(request)).get("csr", "")
    cookie = _cookie(parts, request, link)
    try:
        await parts.hands_out.hand_in(link, cookie, pem)
    except RequestRefused as refusal:
        order = await parts.hands_out.look(link, cookie)
        return _page(_page_of(order, link, defects=refusal.defects), 422)
    return RedirectResponse(f"{AT}/{link}", 303)


@router.get("/retrieval/{link}/certificate.{form}")
async def fetch_certificate(parts: AppParts, link: str, form: str) -> Response:
    """What was issued for a request, with those above it; nothing in it is secret."""
    return await _or_page(_certificate(parts, link, form))


async def _certificate(parts: Parts, link: str, form: str) -> Response:
    row = (await parts.hands_out.look(link, "")).row
    if row.status != "issued" or row.issued_by != "request" or form not in {"pem", "p7b"}:
        raise LinkOver
    chain, name = parts.issuer.chain_of(row), _file_name(row.client_name)
    headers = {"Content-Disposition": f'attachment; filename="{name}.{form}"'}
    if form == "pem":
        return Response(client_ca.pem_of(chain), media_type="application/x-pem-file", headers=headers)
    return Response(client_ca.p7b_of(chain), media_type="application/x-pkcs7-certificates", headers=headers)


@router.get("/loss/{token}")
async def ask_about_loss(parts: AppParts, token: str) -> Response:
    """Asks whether the certificate is to be blocked."""
    return await _or_page(_ask_about_loss(parts, token))


async def _ask_about_loss(parts: Parts, token: str) -> Response:
    row = await parts.hands_out.lost(token)
    if row.status in {"withdrawn", "expired"}:
        return _page(contact_pages.over(row.client_name, row.status), 200)
    return _page(contact_pages.loss(row.client_name, f"/client-certificates/loss/{token}"), 200)


@router.post("/loss/{token}")
async def report_loss(parts: AppParts, token: str) -> Response:
    """Blocks it."""
    return await _or_page(_report_loss(parts, token))


async def _report_loss(parts: Parts, token: str) -> Response:
    row = await parts.hands_out.lost(token)
    try:
        await parts.hands_out.report_loss(token)
    except CertificateOver:
        return _page(contact_pages.over(row.client_name, "expired"), 409)
    return _page(contact_pages.blocked(row.client_name), 200)


async def _form(request: Request) -> dict[str, str]:
    """The first value of each field of a form (application/x-www-form-urlencoded)."""
    try:
        fields = parse_qs((await request.body()).decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def _cookie_name(parts: Parts, link: str) -> str:
    """One name per link, so that two orders in one browser do not hinder each other."""
    return f"{'__Host-' if parts.https else ''}sinete-retrieval-{secret.digest(link)[:16]}"


def _cookie(parts: Parts, request: Request, link: str) -> str:
    return request.cookies.get(_cookie_name(parts, link), "")


def _file_name(client_name: str) -> str:
    """The client's name as every file system takes it."""
    plain = "".join(sign if sign.isascii() and sign.isalnum() else "-" for sign in client_name).strip("-")
    return plain or "client-certificate"


async def _or_page(answer: Awaitable[Response]) -> Response:
    """People read this: every refusal is a page, and so is a database that is away."""
    try:
        return await answer
    except LinkOver:
        return _page(contact_pages.no_link(), 404)
    except NotAdmitted:
        return _page(contact_pages.not_admitted(), 403)
    except NotOrdered:
        return _page(contact_pages.no_link(), 409)
    except (AccountSuspended, AccountNotApproved):
        return _page(contact_pages.not_now(), 409)
    except AWAY as fault:
        if not is_away(fault):
            raise
        log.warning("the database is away", kind=type(fault).__name__)
        return _page(pages.try_again(), 503)


def _page(html: str, status: int) -> Response:
    return HTMLResponse(html, status)
