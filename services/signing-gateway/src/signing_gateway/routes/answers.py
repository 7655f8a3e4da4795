"""Every answer that is not the one asked for: `{"error", "error_description"}` (RFC 6749 §5.2, CSC v2 §10), from one table."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from opentelemetry import trace
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from observability import get_logger
from signing_gateway import refusals

log = get_logger(__name__)

REFUSALS: dict[type[refusals.Refused], tuple[int, str]] = {
    refusals.InvalidRequest: (400, "invalid_request"),
    refusals.BodyTooLarge: (413, "invalid_request"),
    refusals.TokenInvalid: (401, "invalid_token"),
    refusals.ClientUnknown: (401, "invalid_client"),
    refusals.GrantTypeUnsupported: (400, "unsupported_grant_type"),
    refusals.ScopeInvalid: (400, "invalid_scope"),
    refusals.GrantExpired: (403, "access_denied"),
    refusals.LimitExceeded: (403, "access_denied"),
    refusals.WouldExceedLimit: (403, "access_denied"),
    refusals.ServiceInactive: (403, "access_denied"),
    refusals.CertificateInactive: (403, "access_denied"),
    refusals.AccountNotActive: (403, "access_denied"),
    refusals.AccessRefused: (403, "access_denied"),
    refusals.AuthorityRefused: (400, "invalid_request"),
    refusals.PassesByItself: (503, "temporarily_unavailable"),  # draining, monitor, authority or news away, outcome unknown
}
"""A subclass is answered as its nearest listed parent."""

CHALLENGES = {
    "invalid_token": 'Bearer realm="signing-gateway", error="invalid_token"',
    "invalid_client": 'Basic realm="signing-gateway", charset="UTF-8"',
}


def answer(body: dict[str, Any]) -> JSONResponse:
    """What was asked for, never cached."""
    return JSONResponse(body, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})


def refusal(status: int, error: str, description: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """A refusal in the shape of OAuth2 and CSC."""
    body = {"error": error, "error_description": description}
    return JSONResponse(body, status, {"Cache-Control": "no-store", **(headers or {})})


def install_answers(app: FastAPI) -> None:
    """Answers every refusal, unknown path, wrong method and fault; nothing echoes what was sent."""
    app.add_exception_handler(refusals.Refused, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unexpected)


async def _refused(request: Request, why: Exception) -> Response:
    assert isinstance(why, refusals.Refused)
    status, error = next(REFUSALS[kind] for kind in type(why).__mro__ if kind in REFUSALS)
    who = getattr(request.state, "client_service_id", None)
    log.info("a request was refused", refusal=type(why).__name__, status=status, client_service_id=str(who) if who else None)
    headers = {"WWW-Authenticate": CHALLENGES[error]} if error in CHALLENGES else {}
    if isinstance(why, refusals.PassesByItself):
        headers["Retry-After"] = str(why.retry_after)
    return refusal(status, error, str(why), headers)


async def _http(_request: Request, why: Exception) -> Response:
    assert isinstance(why, HTTPException)
    text = {404: "There is no such endpoint. POST /csc/v2/info lists them.", 405: "Use the POST method."}
    return refusal(why.status_code, "invalid_request", text.get(why.status_code, HTTPStatus(why.status_code).phrase), why.headers)


async def _gone(_request: Request, _why: Exception) -> Response:
    return refusal(400, "invalid_request", "The body ended early.")


async def _unexpected(_request: Request, _fault: Exception) -> Response:
    trace_id = trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)
    return refusal(500, "server_error", f"Something failed on our side. Quote {trace_id} to support.")
