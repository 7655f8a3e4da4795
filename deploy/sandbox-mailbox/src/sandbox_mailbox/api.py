"""The HTTP side: what scripts read and order, and the page that people read."""

import json
from collections.abc import Awaitable, Callable
from hmac import compare_digest
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from sandbox_mailbox.mishaps import KINDS, Mishaps
from sandbox_mailbox.settings import Settings
from sandbox_mailbox.store import Store, Table

Endpoint = Callable[[Request], Awaitable[Response]]
MAX_COUNT = 1_000
MOST_BYTES = 64 * 1024
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class BadInput(Exception):
    """What was sent is wrong; `field` names the culprit where there is one."""

    def __init__(self, description: str, field: str | None = None, status: int = 400) -> None:
        super().__init__(description)
        self.description, self.field, self.status = description, field, status


def told(_request: Request, bad: Exception) -> Response:
    """BadInput as JSON."""
    assert isinstance(bad, BadInput)
    error = "unauthorized" if bad.status == 401 else "invalid_request"
    body = {"error": error, "error_description": bad.description} | ({"field": bad.field} if bad.field else {})
    return JSONResponse(body, bad.status, {"WWW-Authenticate": "Bearer"} if bad.status == 401 else None)


async def read_json(request: Request) -> dict[str, Any]:
    """A JSON object of at most 64 KiB."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise BadInput("The request body is too large.", status=413)
    try:
        value = json.loads(bytes(body))
    except (ValueError, RecursionError):
        raise BadInput("The request body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise BadInput("The request body is not a JSON object.")
    return value


def _text(body: dict[str, Any], field: str, most: int) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not 0 < len(value) <= most:
        raise BadInput(f"{field} must be a text of 1 to {most} characters.", field)
    return value


def routes(settings: Settings, store: Store, mishaps: Mishaps) -> list[Route]:
    """Everything under /api, the page and the health check."""
    return [*kept_routes(settings, store), mishap_route(mishaps), *page_routes(store, mishaps)]


def kept_routes(settings: Settings, store: Store) -> list[Route]:
    """What came in, and the door for SMS; mails come by SMTP."""

    def kept(table: Table) -> Endpoint:
        async def answer(request: Request) -> Response:
            to = request.query_params.get("to")
            if request.method == "DELETE":
                store.delete(table, to)
                return Response(status_code=204)
            return JSONResponse(store.all(table, to))

        return answer

    async def take_sms(request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not compare_digest(token.strip().encode(), settings.sms_token.encode()):
            raise BadInput("The bearer token is missing or wrong.", status=401)
        body = await read_json(request)
        store.add("sms", [{"to": _text(body, "to", 32), "text": _text(body, "text", 2_000)}])
        return Response(status_code=201)

    return [
        Route("/api/messages", kept("message"), methods=["GET", "DELETE"]),
        Route("/api/sms", take_sms, methods=["POST"]),
        Route("/api/sms", kept("sms"), methods=["GET", "DELETE"]),
    ]


def mishap_route(mishaps: Mishaps) -> Route:
    """Scripts what goes wrong with the next mails."""

    async def mishap(request: Request) -> Response:
        if request.method == "DELETE":
            mishaps.clear()
            return Response(status_code=204)
        if request.method == "GET":
            return JSONResponse({"pending": mishaps.pending()})
        body = await read_json(request)
        kind, count = body.get("kind"), body.get("count", 1)
        if kind not in KINDS:
            raise BadInput(f"kind must be one of {', '.join(KINDS)}.", "kind")
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_COUNT:
            raise BadInput(f"count must be a whole number from 1 to {MAX_COUNT}.", "count")
        mishaps.order(kind, count)
        return JSONResponse({"pending": mishaps.pending()}, 201)

    return Route("/api/mishaps", mishap, methods=["GET", "POST", "DELETE"])


def page_routes(store: Store, mishaps: Mishaps) -> list[Route]:
    """The page that people read, and the health check."""
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)

    async def home(_request: Request) -> Response:
        mails, texts = store.all("message")[-100:][::-1], store.all("sms")[-100:][::-1]
        template = environment.get_template("home.html")
        return HTMLResponse(template.render(mails=mails, texts=texts, at=store.now, pending=mishaps.pending()), headers=HEADERS)

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok", "at": store.now})

    return [Route("/healthz", healthz), Route("/", home)]
