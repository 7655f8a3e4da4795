"""Where gateways settle the blocks they hold and get new ones: one call, one transaction."""

from typing import Annotated

from fastapi import APIRouter, Depends

from contracts import AllowanceCall, AllowanceReply, Granted
from grant_monitor.allowance import UsageDiscrepancy
from grant_monitor.metrics import ALLOWANCE_DENIED, USAGE_DISCREPANCY
from grant_monitor.routes.refusals import with_database
from grant_monitor.storage import books_of
from hosting import Clock, host_utc
from hosting.database import Sessions
from hosting.service_tokens import TokenVerifier, caller
from observability import get_logger

log = get_logger(__name__)


def router(sessions: Sessions, clock: Clock, verifier: TokenVerifier) -> APIRouter:
    """`POST /internal/v1/allowances`."""
    api = APIRouter()

    @api.post("/internal/v1/allowances")
    async def allowances(
        call: AllowanceCall, _caller: Annotated[str, Depends(caller(verifier, "signing-gateway"))]
    ) -> AllowanceReply:
        """Settlements are booked before wants are answered. A call that got no answer is made again with the same ids."""
        refused: list[tuple[str, UsageDiscrepancy]] = []
        ids = {item.allowance_id for item in call.settle} | {want.allowance_id for want in call.want}
        certificates = {want.certificate_id for want in call.want}
        async with (
            with_database(),
            sessions.begin() as session,
            books_of(session, certificates, ids, now=clock(), host_now=host_utc(), lock="owners") as books,
        ):
            for item in call.settle:
                try:
                    books.settle(item.allowance_id, item.applied, call.holder)
                except UsageDiscrepancy as discrepancy:
                    refused.append((str(item.allowance_id), discrepancy))
            answers = [books.answer(want, call.holder) for want in call.want]
        for allowance_id, reason in refused:
            USAGE_DISCREPANCY.inc()
            log.error("settlement does not fit", allowance_id=allowance_id, holder=call.holder, reason=str(reason))
        for answer in answers:
            if not isinstance(answer, Granted):
                ALLOWANCE_DENIED.labels(answer.kind).inc()
        return AllowanceReply(answers=answers)

    return api
