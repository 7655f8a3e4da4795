"""Refusals as problem+json (RFC 9457): `type` is a word for programs, `detail` a sentence that says what to do."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from opentelemetry import trace
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hosting import database
from hosting.calls import CallNotSent, CallOutcomeUnknown
from hosting.service_tokens import CallerNotAllowed, CallerUnknown
from observability import get_logger

log = get_logger(__name__)

MAX_BODY = 1024 * 1024

COMMON_REFUSALS: dict[type[Exception], tuple[int, str]] = {
    CallerUnknown: (401, "caller-unknown"),
    CallerNotAllowed: (403, "caller-not-allowed"),
    CallNotSent: (503, "temporarily-unavailable"),
    CallOutcomeUnknown: (503, "temporarily-unavailable"),
}


class BodyTooLarge(Exception):
    """The request's body is larger than this endpoint reads."""


def problem(status: int, kind: str, detail: str, headers: Mapping[str, str] | None = None, **members: Any) -> JSONResponse:
    """A problem+json response. `members` are further facts for programs, as `left` or `attempts_left`."""
    body = {"type": kind, "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **members}
    return JSONResponse(body, status, {**(headers or {}), "Cache-Control": "no-store"}, media_type="application/problem+json")


def install_problems(app: FastAPI, refusals: Mapping[type[Exception], tuple[int, str]], *, max_body: int = MAX_BODY) -> None:
    """Answers every refusal of `refusals`, bad input and the unexpected as a problem; nothing echoes what was sent."""

    def answer(status: int, kind: str) -> Any:
        async def handler(_request: Request, refusal: Exception) -> Response:
            headers = dict(getattr(refusal, "headers", None) or {})
            if status == HTTPStatus.SERVICE_UNAVAILABLE:
                headers.setdefault("Retry-After", "2")
            return problem(status, kind, str(refusal) or kind.replace("-", " "), headers, **_members(refusal))

        return handler

    for exception, (status, kind) in {**COMMON_REFUSALS, **refusals}.items():
        app.add_exception_handler(exception, answer(status, kind))
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    for exception in database.AWAY:
        app.add_exception_handler(exception, _away)
    app.add_exception_handler(Exception, _unexpected)
    app.add_middleware(LimitedBody, limit=max_body)


def _members(refusal: Exception) -> dict[str, Any]:
    """The refusal's public attributes that are plain facts."""
    plain = {
        k: v for k, v in vars(refusal).items() if not k.startswith("_") and isinstance(v, bool | int | str | UUID | datetime)
    }
    shown = {
        k: v.isoformat().replace("+00:00", "Z") if isinstance(v, datetime) else str(v) if isinstance(v, UUID) else v
        for k, v in plain.items()
    }
    return {k: v for k, v in shown.items() if k not in {"type", "title", "status", "detail", "headers", "kind"}}


async def _invalid(_request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, RequestValidationError)
    if any(fault["type"] == "json_invalid" for fault in refusal.errors()):
        return problem(400, "malformed-json", "The body is not JSON. Send a JSON object with Content-Type: application/json.")
    faults = [{"field": _field(fault["loc"]), "rule": fault["msg"]} for fault in refusal.errors()]
    named = "; ".join(f"{fault['field']}: {fault['rule']}" for fault in faults[:5])
    return problem(422, "invalid-input", named, errors=faults)


def _field(location: tuple[Any, ...]) -> str:
    """The field's name, without the branches of a union, which pydantic writes like `function-after[in_reach(), date]`."""
    named = [str(part) for part in location[1:] if "[" not in str(part)]
    return ".".join(named) or str(location[0]) if location else "body"


async def _http(_request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, HTTPException)
    kinds = {
        404: "not-found",
        405: "method-not-allowed",
        400: "malformed-json" if "parsing the body" in str(refusal.detail) else "bad-request",
    }
    return problem(refusal.status_code, kinds.get(refusal.status_code, "refused"), str(refusal.detail), refusal.headers)


async def _away(_request: Request, fault: Exception) -> Response:
    """The database is away, which passes by itself; any other fault of these kinds is as unexpected as before."""
    if not database.is_away(fault):
        raise fault
    log.warning("the database is away", kind=type(fault).__name__)
    again = "The service cannot reach its database. In a few seconds look at how it stands, then try again."
    return problem(503, "temporarily-unavailable", again, {"Retry-After": "2"})


async def _unexpected(_request: Request, _fault: Exception) -> Response:
    trace_id = trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)
    return problem(
        500,
        "internal-error",
        "Something failed on our side. Nothing was changed by halves. Quote the trace id to support.",
        trace_id=trace_id,
    )


class LimitedBody:
    """Refuses a body larger than `limit` bytes, whether announced or streamed."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app, self._limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if told.isdigit() and int(told) > self._limit:
            await self._refusal()(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self._limit:
                raise BodyTooLarge
            return message

        async def sent(message: Message) -> None:
            # The framework answers a body it could not read as bad; what was wrong with it is known here.
            if seen <= self._limit:
                await send(message)
            elif message["type"] == "http.response.start":
                await self._refusal()(scope, receive, send)

        await self._app(scope, counted, sent)

    def _refusal(self) -> Response:
        return problem(413, "body-too-large", f"The body is larger than {self._limit} bytes. Send less at a time.")
