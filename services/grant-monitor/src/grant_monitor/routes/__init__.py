"""The internal HTTP API: allowances for gateways, the state of a grant for people and pages."""

from fastapi import FastAPI

from grant_monitor.routes import allowances, grants
from grant_monitor.routes.refusals import REFUSALS
from hosting import Clock
from hosting.database import Sessions
from hosting.problems import install_problems
from hosting.service_tokens import TokenVerifier

MAX_BODY = 8 * 1024 * 1024  # a bulk call of a large gateway


def internal_api(sessions: Sessions, clock: Clock, verifier: TokenVerifier) -> FastAPI:
    """The routes, each for the services that it names."""
    app = FastAPI(title="Sinete grant monitor", openapi_url=None)
    app.include_router(allowances.router(sessions, clock, verifier))
    app.include_router(grants.router(sessions, clock, verifier))
    install_problems(app, REFUSALS, max_body=MAX_BODY)
    return app
