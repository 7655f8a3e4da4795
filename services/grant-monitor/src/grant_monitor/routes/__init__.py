"""The internal HTTP API: allowances for gateways, the state of a grant for people and pages."""

from fastapi import FastAPI
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from grant_monitor.routes import allowances, grants
from grant_monitor.routes.grants import GrantUnknown
from hosting import Clock
from hosting.database import Sessions
from hosting.problems import install_problems
from hosting.service_tokens import TokenVerifier

MAX_BODY = 8 * 1024 * 1024  # a bulk call of a large gateway

REFUSALS: dict[type[Exception], tuple[int, str]] = {
    GrantUnknown: (404, "grant-unknown"),
    DBAPIError: (503, "temporarily-unavailable"),
    PoolTimeout: (503, "temporarily-unavailable"),
    OSError: (503, "temporarily-unavailable"),  # asyncpg's, when the database cannot be reached
}


def internal_api(sessions: Sessions, clock: Clock, verifier: TokenVerifier) -> FastAPI:
    """The routes, each for the services that it names."""
    app = FastAPI(title="Sinete grant monitor", openapi_url=None)
    app.include_router(allowances.router(sessions, clock, verifier))
    app.include_router(grants.router(sessions, clock, verifier))
    install_problems(app, REFUSALS, max_body=MAX_BODY)
    return app
