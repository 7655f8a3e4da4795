"""What a test or a person may do to the sandbox: read its journal, script mishaps, withdraw access, unlock."""

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox_ca.forms import sent, wrong
from sandbox_ca.parts import KINDS, Authority

MAX_COUNT = 1_000


def scripted(authority: Authority, body: dict[str, Any]) -> Response | None:
    """Adds a mishap; the refusal when it is none."""
    kind, count = body.get("kind"), body.get("count", 1)
    if kind not in KINDS:
        return wrong("kind", f"must be one of {', '.join(KINDS)}")
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MAX_COUNT:
        return wrong("count", f"must be a whole number from 1 to {MAX_COUNT}")
    authority.mishaps.add(kind, count)
    return None


def routes(authority: Authority) -> list[Route]:
    """The control endpoints under /sandbox, and /healthz."""

    async def journal(request: Request) -> Response:
        wanted = request.query_params.get("credential_id")
        items = [e for e in authority.journal.entries if wanted in (None, e["credential_id"])]
        return JSONResponse({"items": items, "total": len(items)})

    async def mishaps(request: Request) -> Response:
        if request.method == "DELETE":
            authority.mishaps.clear()
            return Response(status_code=204)
        if request.method == "POST" and (refused := scripted(authority, await sent(request))):
            return refused
        return JSONResponse({"pending": authority.mishaps.waiting}, 201 if request.method == "POST" else 200)

    async def revocations(request: Request) -> Response:
        credential = (await sent(request)).get("credential_id")
        if not isinstance(credential, str) or credential not in authority.credentials:
            return wrong("credential_id", "is none of this CA's")
        return JSONResponse({"credential_id": credential, "revoked": authority.memory.withdraw(credential)}, 201)

    async def unlock(_request: Request) -> Response:
        authority.memory.unlock()
        return Response(status_code=204)

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok", "at": authority.at})

    return [
        Route("/sandbox/journal", journal),
        Route("/sandbox/mishaps", mishaps, methods=["GET", "POST", "DELETE"]),
        Route("/sandbox/revocations", revocations, methods=["POST"]),
        Route("/sandbox/unlock", unlock, methods=["POST"]),
        Route("/healthz", healthz),
    ]
