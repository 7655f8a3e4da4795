"""One table: each refusal of the domain as an HTTP status and a problem type; and those that carry facts of their own."""

from typing import Any

from fastapi import FastAPI, Request, Response

from certificate_registry import certificate_request, client_certificate, client_service, issuing, roles, walk
from certificate_registry.roles import Caller
from certificate_registry.routes import accounts, certificates, client_certificates, client_services, operators, tokens
from certificate_registry.routes.parts import Parts, QueryUnknown, TokenRefused
from certificate_registry.storage.audit_trail import record
from hosting.calls import CallRefused
from hosting.problems import install_problems, problem

REFUSALS: dict[type[Exception], tuple[int, str]] = {
    TokenRefused: (401, "token-refused"),
    tokens.LoginRefused: (401, "login-refused"),
    roles.NotVisible: (404, "not-found"),
    roles.NotAllowed: (403, "not-allowed"),
    roles.AccountSuspended: (409, "account-suspended"),
    roles.AccountNotApproved: (409, "account-not-approved"),
    roles.AccountMismatch: (422, "account-mismatch"),
    accounts.AccountDeleted: (409, "account-deleted"),
    operators.EmailTaken: (409, "email-taken"),
    certificates.CertificateDeleted: (409, "certificate-deleted"),
    client_service.GrantNotActive: (409, "grant-not-active"),
    client_services.ChangedMeanwhile: (409, "changed-meanwhile"),
    client_services.ClientServiceDeleted: (409, "client-service-deleted"),
    client_certificates.NotIssued: (409, "client-certificate-not-issued"),
    client_certificate.NotOrdered: (409, "client-certificate-not-ordered"),
    client_certificate.CertificateOver: (409, "client-certificate-over"),
    certificate_request.RequestRefused: (422, "request-refused"),
    issuing.ClientCaMissing: (503, "client-ca-missing"),
    walk.WalkOver: (409, "walk-over"),
    QueryUnknown: (422, "invalid-input"),
}


def install_refusals(app: FastAPI) -> None:
    """Every refusal as a problem."""
    install_problems(app, REFUSALS)
    app.add_exception_handler(roles.NotAllowed, _denied)
    app.add_exception_handler(walk.CodeRefused, _code_refused)
    app.add_exception_handler(CallRefused, _connector_refused)


async def _denied(request: Request, refusal: Exception) -> Response:
    """What was denied to whom is kept (ASVS 16.3.2)."""
    parts: Parts = request.app.state.parts
    caller: Caller = request.state.caller
    async with parts.sessions.begin() as session:
        record(
            session,
            "denied",
            actor=caller.operator_id,
            kind="endpoint",
            id=f"{request.method} {getattr(request.scope.get('route'), 'path', '')}",
            account_id=caller.account_id,
            now=parts.clock(),
        )
    return problem(403, "not-allowed", str(refusal))


async def _code_refused(_request: Request, refusal: Exception) -> Response:
    assert isinstance(refusal, walk.CodeRefused)
    status = 409 if refusal.reason == "renewed-by-another-operator" else 422
    return problem(status, refusal.reason, str(refusal), reason=refusal.reason, attempts_left=refusal.attempts_left)


async def _connector_refused(_request: Request, refusal: Exception) -> Response:
    """A refusal of the connector is the caller's to read, unless it is about us."""
    assert isinstance(refusal, CallRefused)
    if refusal.status in {401, 403, 405, 413}:
        return problem(503, "temporarily-unavailable", "The CA connector does not accept our call. Ask the platform's support.")
    return problem(refusal.status, refusal.kind, refusal.detail, **_facts(refusal))


def _facts(refusal: CallRefused) -> dict[str, Any]:
    shown = ("errors", "reason", "attempts_left")
    return {name: value for name, value in refusal.members.items() if name in shown}
