"""Every answer that is not the one asked for, from one table: `{"error", "error_description", "sinete_error"}`.

The first two are the API's (RFC 6749 §5.2, CSC v2 §10) and say little to software, since many refusals share one `error`;
`sinete_error` is a word of ours for each, which never changes its meaning. `docs/errors.md` explains them.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from uuid import UUID

import msgspec
from fastapi import FastAPI, Request
from opentelemetry import trace
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

from observability import get_logger
from signing_gateway import access_refusals, document_refusals, refusals
from signing_gateway.routes.direct import ASKS

log = get_logger(__name__)

REFUSALS: dict[type[refusals.Refused], tuple[int, str, str]] = {
    refusals.InvalidRequest: (400, "invalid_request", "request-invalid"),
    refusals.CredentialUnknown: (400, "invalid_request", "credential-unknown"),
    refusals.ActivationUnknown: (400, "invalid_request", "sad-invalid"),
    refusals.ActivationExpired: (400, "invalid_request", "sad-expired"),
    refusals.ActivationTooSmall: (400, "invalid_request", "sad-too-small"),
    refusals.HashNotActivated: (400, "invalid_request", "sad-for-other-hashes"),
    refusals.RequestUnknown: (400, "invalid_request", "request-unknown"),
    refusals.BodyTooLarge: (413, "invalid_request", "body-too-large"),
    document_refusals.DocumentRefused: (400, "invalid_request", "document-refused"),
    document_refusals.TimestampsNotOffered: (400, "invalid_request", "timestamps-not-offered"),
    document_refusals.CertificateRevoked: (400, "invalid_request", "certificate-revoked"),
    refusals.CertificateOver: (400, "invalid_request", "certificate-expired"),
    refusals.KeyReused: (422, "invalid_request", "idempotency-key-reused"),
    refusals.KeyUnderWay: (409, "invalid_request", "idempotency-key-under-way"),
    access_refusals.PlainRefused: (400, "invalid_request", "https-needed"),
    refusals.TokenInvalid: (401, "invalid_token", "token-invalid"),
    access_refusals.ClientUnknown: (401, "invalid_client", "client-unknown"),
    access_refusals.LoginMalformed: (401, "invalid_request", "login-malformed"),
    access_refusals.LoginFailed: (400, "authentication_error", "login-failed"),
    access_refusals.CertificateNeeded: (403, "unauthorized_client", "client-certificate-needed"),
    access_refusals.CertificateNotTheirs: (403, "unauthorized_client", "client-certificate-refused"),
    access_refusals.GrantTypeUnsupported: (400, "unsupported_grant_type", "grant-type-unsupported"),
    access_refusals.ScopeInvalid: (400, "invalid_scope", "scope-invalid"),
    refusals.GrantExpired: (403, "access_denied", "access-expired"),
    refusals.GrantUsedUp: (403, "access_denied", "limit-exceeded"),
    refusals.AccessWithdrawn: (403, "access_denied", "access-withdrawn"),
    refusals.LimitExceeded: (403, "access_denied", "limit-exceeded"),
    refusals.WouldExceedLimit: (403, "access_denied", "would-exceed-limit"),
    refusals.ServiceInactive: (403, "access_denied", "client-service-inactive"),
    refusals.CertificateInactive: (403, "access_denied", "certificate-inactive"),
    refusals.AccountNotActive: (403, "access_denied", "account-not-active"),
    refusals.AccessRefused: (403, "access_denied", "authority-refused-access"),
    refusals.AuthorityRefused: (400, "invalid_request", "authority-refused"),
    refusals.RateExceeded: (429, "temporarily_unavailable", "rate-exceeded"),
    refusals.TooManyWaiting: (429, "temporarily_unavailable", "too-many-waiting"),
    refusals.PassesByItself: (503, "temporarily_unavailable", "try-again"),
    refusals.Draining: (503, "temporarily_unavailable", "draining"),
    refusals.MonitorAway: (503, "temporarily_unavailable", "allowance-unavailable"),
    refusals.GrantNotKnown: (503, "temporarily_unavailable", "catching-up"),
    refusals.NotCurrent: (503, "temporarily_unavailable", "catching-up"),
    refusals.AuthorityAway: (503, "temporarily_unavailable", "authority-unavailable"),
    refusals.RecordsAway: (503, "temporarily_unavailable", "records-unavailable"),
    document_refusals.Busy: (503, "temporarily_unavailable", "busy"),
    document_refusals.DocumentsTakeTooLong: (503, "temporarily_unavailable", "documents-take-too-long"),
    document_refusals.TimestampsAway: (503, "temporarily_unavailable", "timestamps-unavailable"),
    document_refusals.EvidenceAway: (503, "temporarily_unavailable", "evidence-unavailable"),
    document_refusals.SignedNotDelivered: (503, "temporarily_unavailable", "signed-not-delivered"),
    refusals.OutcomeUnknown: (503, "temporarily_unavailable", "outcome-unknown"),
}
"""A subclass is answered as its nearest listed parent."""

NEVER_STORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}
CHALLENGES = {
    "invalid_token": 'Bearer realm="signing-gateway", error="invalid_token"',
    "invalid_client": 'Basic realm="signing-gateway", charset="UTF-8"',
    "login-malformed": 'Basic realm="signing-gateway", charset="UTF-8"',
}


_JSON = msgspec.json.Encoder()
_READY = [
    header
    for header in Response(media_type="application/json", headers=NEVER_STORED).raw_headers
    if header[0] != b"content-length"
]


class Ready(Response):
    """JSON that was asked for, never cached. Its headers are made once, but for the length."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.status_code, self.background, self.body = 200, None, _JSON.encode(body)
        self.raw_headers = [*_READY, (b"content-length", b"%d" % len(self.body))]


def answer(body: dict[str, Any]) -> Response:
    """What was asked for, never cached."""
    return Ready(body)


def refusal(
    status: int,
    error: str,
    description: str,
    headers: Mapping[str, str] | None = None,
    *,
    word: str,
) -> JSONResponse:
    """A refusal in the shape of OAuth2 and CSC, with our own word."""
    body = {"error": error, "error_description": description, "sinete_error": word}
    return JSONResponse(body, status, {"Cache-Control": "no-store", **(headers or {})})


def refused(why: refusals.Refused) -> tuple[int, dict[str, str | int]]:
    """A refusal's status and body."""
    status, error, word = next(REFUSALS[kind] for kind in type(why).__mro__ if kind in REFUSALS)
    return status, {"error": error, "error_description": str(why), "sinete_error": word, **why.facts}


def install_answers(app: FastAPI) -> None:
    """Answers every refusal, unknown path, wrong method and fault; nothing echoes what was sent."""
    app.add_exception_handler(refusals.Refused, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unexpected)


async def _refused(request: Request, why: Exception) -> Response:
    assert isinstance(why, refusals.Refused)
    return answered(why, request.scope.get(ASKS))


def answered(why: refusals.Refused, who: UUID | None = None) -> JSONResponse:
    """The answer that the table gives to a refusal of the client service `who`, logged for the audit (ASVS 16.3.2)."""
    status, body = refused(why)
    log.info("a request was refused", refusal=body["sinete_error"], status=status, client_service_id=str(who) if who else None)
    challenge = CHALLENGES.get(str(body["sinete_error"])) or CHALLENGES.get(str(body["error"]))
    headers = {"Cache-Control": "no-store"} | ({"WWW-Authenticate": challenge} if challenge else {})
    if why.retry_after is not None:
        headers["Retry-After"] = str(why.retry_after)
    return JSONResponse(body, status, headers)


async def _http(_request: Request, why: Exception) -> Response:
    assert isinstance(why, HTTPException)
    text = {404: "There is no such endpoint. POST /csc/v2/info lists them.", 405: "Use the POST method."}
    said = text.get(why.status_code, HTTPStatus(why.status_code).phrase)
    return refusal(why.status_code, "invalid_request", said, why.headers, word="endpoint-unknown")


async def _gone(_request: Request, _why: Exception) -> Response:
    return refusal(400, "invalid_request", "The body ended early.", word="request-invalid")


async def _unexpected(_request: Request, _fault: Exception) -> Response:
    trace_id = trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)
    return refusal(500, "server_error", f"Something failed on our side. Quote {trace_id} to support.", word="fault")
