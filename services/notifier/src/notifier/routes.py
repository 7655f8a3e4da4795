"""The notifier's HTTP, for our own services only: personal messages in, what became of mails out."""

from collections.abc import Callable
from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, FastAPI, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict

from contracts.messages import MessageAccepted, PersonalMessage
from contracts.notices import NoticeKind
from hosting import Clock
from hosting.database import Sessions
from hosting.problems import install_problems
from hosting.service_tokens import TokenVerifier, caller
from notifier.message import MessageNotSendable, body_of
from notifier.sealing import Sealer
from notifier.storage.messages import queue
from notifier.storage.notices import certificates_of, mails_with
from observability import get_logger

log = get_logger(__name__)

REFUSALS: dict[type[Exception], tuple[int, str]] = {MessageNotSendable: (422, "message-not-sendable")}

Status = Literal["due", "sent", "failed", "void"]


class AskedMessage(PersonalMessage):
    """A personal message as it is asked for: an unknown field is a mistake that must be seen."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class MailView(BaseModel):
    """One mail of a notice and how it stands. No address: the operator's id says whose it is."""

    notice_id: UUID
    operator_id: UUID
    account_id: UUID
    kind: NoticeKind
    local_date: date
    certificate_ids: list[UUID]
    message_id: str
    status: Status
    reason: str | None
    attempts: int
    decided_at: AwareDatetime | None


class MailPage(BaseModel):
    """One page of mails."""

    items: list[MailView]
    page: int
    page_size: int
    total: int


def routes(sessions: Sessions, verifier: TokenVerifier, sealer: Sealer, *, host: Clock, queued: Callable[[], None]) -> FastAPI:
    """The application. `queued` is called after a message was committed."""
    app = FastAPI(title="Sinete notifier", docs_url=None, redoc_url=None, openapi_url=None)
    install_problems(app, REFUSALS)
    may_send = caller(verifier, "certificate-registry", "ca-connector")
    may_read = caller(verifier, "certificate-registry")

    @app.post("/internal/v1/messages", status_code=202)
    async def take_message(asked: AskedMessage, by: Annotated[str, Depends(may_send)]) -> MessageAccepted:
        """Queues a message once per id; asked again, it answers where the first one stands."""
        sealed = sealer.seal(asked.id, body_of(asked).model_dump_json().encode())
        async with sessions.begin() as session:
            status = await queue(session, asked.id, asked.channel, sealed, host())
        queued()
        log.info("a message was taken", message_id=asked.id, channel=asked.channel, by=by, status=status)
        return MessageAccepted.model_validate({"id": asked.id, "status": "queued" if status == "due" else status})

    @app.get("/internal/v1/notices", dependencies=[Depends(may_read)])
    async def list_mails(
        status: Status = "failed",
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
        page_size: Annotated[int, Query(ge=1, le=200)] = 50,
    ) -> MailPage:
        """The mails of notices in one status, the last decided first."""
        async with sessions() as session:
            rows, total = await mails_with(session, status, page=page, page_size=page_size)
            about = await certificates_of(session, {row.notice_id for row in rows})
        items = [
            MailView(
                notice_id=row.notice_id,
                operator_id=row.operator_id,
                account_id=row.account_id,
                kind=row.kind,
                local_date=row.local_date,
                certificate_ids=about[row.notice_id],
                message_id=row.message_id,
                status=row.status,
                reason=row.reason,
                attempts=row.attempts,
                decided_at=row.decided_at,
            )
            for row in rows
        ]
        return MailPage(items=items, page=page, page_size=page_size, total=total)

    return app
