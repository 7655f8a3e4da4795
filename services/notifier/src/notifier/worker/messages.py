"""Personal messages on their way: opened for one attempt, by mail or SMS; the body is deleted with the outcome."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.headerregistry import Address
from typing import Literal, Protocol
from uuid import UUID

from cryptography.exceptions import InvalidTag
from prometheus_client import Counter

from hosting import Clock
from hosting.database import Sessions
from notifier.attempt import Again, Never, Outcome, Sent, verdict
from notifier.mail import MailRefused, address, mail_of
from notifier.message import SealedBody
from notifier.sealing import Sealer
from notifier.storage.attempts import claim, decide, due
from notifier.storage.messages import this_message
from notifier.storage.tables import message
from notifier.worker.delivering import LEASE_S, UNKNOWN
from notifier.worker.notices import Post
from observability import get_logger, tracer

log = get_logger(__name__)

SENT = Counter("message_sent", "Attempts to deliver a personal message, by what came of it", ["channel", "result"])


class Texting(Protocol):
    """What takes an SMS: carriers.sms.SmsGateway, or a fake that keeps to the same promises."""

    async def send(self, to: str, text: str) -> Outcome:
        """One SMS."""


@dataclass(frozen=True)
class ClaimedMessage:
    """A message that is ours to try until `claimed_until`; still sealed."""

    message_id: UUID
    channel: Literal["email", "sms"]
    sealed: bytes
    attempt: int
    due_since: datetime
    claimed_until: datetime


class PersonalMessages:
    """The job of delivering them."""

    def __init__(
        self, sessions: Sessions, sealer: Sealer, post: Post, texting: Texting, *, sender: Address, clock: Clock, host: Clock
    ) -> None:
        self._sessions, self._sealer, self._post, self._texting = sessions, sealer, post, texting
        self._sender, self._clock, self._host = sender, clock, host

    async def claim(self, limit: int) -> list[ClaimedMessage]:
        """Claims messages that are due."""
        host_now = self._host()
        until = host_now + timedelta(seconds=LEASE_S)
        claimed = []
        async with self._sessions.begin() as session:
            for row in await due(session, message, host_now, limit=limit):
                if row.claimed_until is not None:
                    UNKNOWN.inc()
                await claim(session, message, this_message(row.id), until)
                claimed.append(ClaimedMessage(row.id, row.channel, row.sealed, row.attempts + 1, row.due_since, until))
        return claimed

    async def deliver(self, claimed: ClaimedMessage) -> Outcome:
        """Opens the message and hands it over."""
        try:
            body = SealedBody.model_validate_json(self._sealer.open(claimed.message_id, claimed.sealed))
        except InvalidTag:
            return Never("the sealed body does not open under this master key")
        if claimed.channel == "sms":
            with tracer(__name__).start_as_current_span("deliver sms"):
                return await self._texting.send(body.to, body.text)
        try:
            to = address(body.to)
            message_id = f"<{claimed.message_id}@{self._sender.domain}>"
            mail = mail_of(body.letter, sender=self._sender, recipient=to, message_id=message_id, at=self._clock())
        except MailRefused as refusal:
            return Never(str(refusal))
        with tracer(__name__).start_as_current_span("deliver mail"):
            return await self._post.send(mail, to)

    async def record(self, claimed: ClaimedMessage, outcome: Outcome) -> None:
        """Decides the message and deletes its body, or puts it off."""
        end = verdict(outcome, attempts=claimed.attempt, due_since=claimed.due_since, host_now=self._host())
        which = this_message(claimed.message_id)
        async with self._sessions.begin() as session:
            await decide(session, message, which, end, claimed_until=claimed.claimed_until, now=self._clock())
        result = "sent" if isinstance(end, Sent) else "later" if isinstance(end, Again) else "failed"
        SENT.labels(claimed.channel, result).inc()
        log.info(
            "a message was tried",
            message_id=claimed.message_id,
            channel=claimed.channel,
            result=result,
            reason=None if isinstance(end, Sent) else end.reason,
            attempt=claimed.attempt,
        )
