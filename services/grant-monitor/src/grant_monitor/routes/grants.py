"""The state of a grant as the monitor's own tables have it, with a forecast."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from contracts.grants import GrantView
from grant_monitor.forecast import first_day, forecast
from grant_monitor.routes.refusals import GrantUnknown, with_database
from grant_monitor.storage import opened
from grant_monitor.storage.usage import recent_signatures
from hosting import Clock, host_utc
from hosting.database import Sessions
from hosting.service_tokens import TokenVerifier, caller


def router(sessions: Sessions, clock: Clock, verifier: TokenVerifier) -> APIRouter:
    """`GET /internal/v1/grants/{certificate_id}`."""
    api = APIRouter()

    @api.get("/internal/v1/grants/{certificate_id}")
    async def grant(
        certificate_id: UUID,
        _caller: Annotated[str, Depends(caller(verifier, "certificate-registry", "signing-gateway"))],
    ) -> GrantView:
        """Read without a lock: what it says was so at `read_at`."""
        now = clock()
        async with with_database(), sessions.begin() as session:
            books = await opened(session, [certificate_id], now=now, host_now=host_utc())
            if certificate_id not in books.grants:
                raise GrantUnknown("No grant of this certificate is known. Complete its registration at the CA first.")
            calendar = books.calendar(certificate_id)
            recent = await recent_signatures(session, certificate_id, first_day(now, calendar))
        epoch = books.current(certificate_id)
        return GrantView(
            grant=books.grants[certificate_id].told("expired" if epoch.state == "expired" else "counted", epoch, calendar),
            reserved=epoch.ledger.reserved,
            open_allowances=books.open_blocks[certificate_id, epoch.number].total() if epoch.ledger.reserved else 0,
            read_at=now,
            forecast=forecast(epoch, recent, now, calendar),
        )

    return api
