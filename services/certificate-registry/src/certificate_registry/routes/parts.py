"""What every route works with, and who is calling."""

from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from certificate_registry.connector import Connector
from certificate_registry.handing_out import HandingOut
from certificate_registry.issuing import ClientCaMissing, Issuer
from certificate_registry.passwords import Passwords
from certificate_registry.roles import Caller
from certificate_registry.storage import operators
from hosting import Clock
from hosting.database import Sessions


@dataclass(frozen=True)
class Parts:
    """Put together by `app.build`."""

    sessions: Sessions
    clock: Clock
    connector: Connector
    passwords: Passwords
    public_url: str
    ticket_key: bytes
    issues: Issuer | None = None  # of client certificates
    invites: HandingOut | None = None  # contacts to fetch them
    news_within_s: float = 3.0  # how long the end of a walk waits for the news of the grant that it opened

    @property
    def https(self) -> bool:
        """Browsers reach us by https: cookies are Secure."""
        return self.public_url.startswith("https://")

    @property
    def issuer(self) -> Issuer:
        """Who issues client certificates. Raises ClientCaMissing."""
        if self.issues is None:
            raise ClientCaMissing
        return self.issues

    @property
    def hands_out(self) -> HandingOut:
        """Who hands client certificates to contacts. Raises ClientCaMissing."""
        if self.invites is None:
            raise ClientCaMissing
        return self.invites


class TokenRefused(Exception):
    """No operator token that holds."""

    headers = {"WWW-Authenticate": "Bearer"}


class QueryUnknown(Exception):
    """A query parameter that this endpoint does not know."""


def parts_of(request: Request) -> Parts:
    """The parts of the app this request came to."""
    parts: Parts = request.app.state.parts
    return parts


_bearer = HTTPBearer(auto_error=False, description="An operator's API token")


async def caller_of(
    request: Request,
    parts: Annotated[Parts, Depends(parts_of)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Caller:
    """The operator whose token this is. Raises TokenRefused without saying which check failed."""
    if bearer is None:
        raise TokenRefused("Send an operator's API token: Authorization: Bearer …")
    async with parts.sessions() as session:
        found = await operators.by_token(session, bearer.credentials, parts.clock())
    if found is None:
        raise TokenRefused("The API token does not hold: it is unknown, withdrawn or over, or its operator is not active.")
    request.state.caller = found
    return found


async def known_query_only(request: Request) -> None:
    """Endpoints without query parameters refuse them all; the others name theirs in a model that forbids the rest."""
    route: Any = request.scope["route"]
    if request.query_params and not route.dependant.query_params:
        raise QueryUnknown(f"{', '.join(sorted(request.query_params))[:200]}: not known here. Leave it out.")


AppParts = Annotated[Parts, Depends(parts_of)]
Operator = Annotated[Caller, Depends(caller_of)]


def at(record_id: UUID, kind: str) -> dict[str, str]:
    """The Location header of what was just made."""
    return {"Location": f"/api/v1/{kind}/{record_id}"}
