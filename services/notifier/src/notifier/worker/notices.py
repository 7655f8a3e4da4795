"""Mails of notices: each checked again in the transaction that claims it, and told of when it is decided."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any, Protocol
from uuid import UUID

from prometheus_client import Counter
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncSession

from contracts import NoticeFailed, NoticeSent
from hosting import Clock
from hosting.database import Sessions
from messaging import put
from notifier.attempt import Again, Never, Outcome, Sent, verdict
from notifier.letter import Letters, Matter
from notifier.mail import MailRefused, address, mail_of
from notifier.notice import Line, Recipient, VoidReason, void_reason
from notifier.storage.attempts import claim, decide, due
from notifier.storage.lines import ledger_begun_at
from notifier.storage.notices import (
    AccountState,
    CertificateState,
    Notice,
    account_state,
    certificate_states,
    notice_of,
    operator_now,
    this_mail,
    void_mail,
)
from notifier.storage.tables import mail
from notifier.worker.delivering import LEASE_S, UNKNOWN
from observability import carried_on, get_logger

log = get_logger(__name__)

SENT = Counter("mail_sent", "Attempts to mail a notice to one operator, by what came of it", ["result"])
for _result in ("sent", "later", "failed", "void"):
    SENT.labels(_result)  # shown from the start, so that an alert can tell nothing from none


class Post(Protocol):
    """What takes a mail: carriers.smtp.MailServer, or a fake that keeps to the same promises."""

    async def send(self, mail: EmailMessage, recipient: Address) -> Outcome:
        """One transaction with the mail server."""


@dataclass(frozen=True)
class ClaimedMail:
    """A mail that is ours to try until `claimed_until`, and all that is needed to write it."""

    notice: Notice
    recipient: Recipient
    message_id: str
    attempt: int
    due_since: datetime
    claimed_until: datetime
    matter: Matter
    languages: tuple[str, str]


class NoticeMails:
    """The job of mailing notices."""

    def __init__(self, sessions: Sessions, letters: Letters, post: Post, *, sender: Address, clock: Clock, host: Clock) -> None:
        self._sessions, self._letters, self._post, self._sender = sessions, letters, post, sender
        self._clock, self._host = clock, host

    async def claim(self, limit: int) -> list[ClaimedMail]:
        """Claims mails whose notice still holds; those that have become void are decided so."""
        now, host_now = self._clock(), self._host()
        until = host_now + timedelta(seconds=LEASE_S)
        claimed = []
        async with self._sessions.begin() as session:
            for row in await due(session, mail, host_now, limit=limit):
                if row.claimed_until is not None:
                    UNKNOWN.inc()
                owed = await _still_owed(session, row, until, now)
                which = this_mail(row.notice_id, row.operator_id)
                if isinstance(owed, ClaimedMail):
                    await claim(session, mail, which, until)
                    claimed.append(owed)
                else:
                    await void_mail(session, which, owed, now)
                    SENT.labels("void").inc()
                    log.info("a mail is void", notice_id=row.notice_id, operator_id=row.operator_id, reason=owed)
        return claimed

    async def deliver(self, claimed: ClaimedMail) -> Outcome:
        """Writes the mail and hands it to the mail server."""
        letter = self._letters.compose(claimed.matter, claimed.languages)
        try:
            to = address(claimed.recipient.email, claimed.recipient.name)
            mail = mail_of(letter, sender=self._sender, recipient=to, message_id=claimed.message_id, at=self._clock())
        except MailRefused as refusal:
            return Never(str(refusal))
        with carried_on("deliver mail", claimed.notice.traceparent):
            return await self._post.send(mail, to)

    async def record(self, claimed: ClaimedMail, outcome: Outcome) -> None:
        """Decides the mail, or puts it off, and tells of what is decided in the same transaction."""
        now = self._clock()
        end = verdict(outcome, attempts=claimed.attempt, due_since=claimed.due_since, host_now=self._host())
        which = this_mail(claimed.notice.notice_id, claimed.recipient.operator_id)
        with carried_on("record the delivery", claimed.notice.traceparent):
            async with self._sessions.begin() as session:
                decided = await decide(session, mail, which, end, claimed_until=claimed.claimed_until, now=now)
                if decided and not isinstance(end, Again):
                    await put(session, _event(claimed, end, now), at=now)
        result = "sent" if isinstance(end, Sent) else "later" if isinstance(end, Again) else "failed"
        SENT.labels(result).inc()
        log.info(
            "a mail was tried",
            notice_id=claimed.notice.notice_id,
            operator_id=claimed.recipient.operator_id,
            result=result,
            reason=None if isinstance(end, Sent) else end.reason,
            attempt=claimed.attempt,
        )


async def _still_owed(
    session: AsyncSession, row: Row[*tuple[Any, ...]], until: datetime, now: datetime
) -> ClaimedMail | VoidReason:
    """The mail as it is to be sent now: of a digest only the lines that still hold; or why there is none."""
    notice, lines = await notice_of(session, row.notice_id)
    account, void = await account_state(session, notice.account_id)
    recipient = await operator_now(session, row.operator_id)
    if void or recipient.status != "active":
        return void or "recipient-gone"
    states = await certificate_states(session, {one.certificate_id for one in lines})
    begun_at = await ledger_begun_at(session, now)
    reasons = [line_void(one, states[one.certificate_id], now=now, begun_at=begun_at) for one in lines]
    held = [one for one, reason in zip(lines, reasons, strict=True) if reason is None]
    if not held:
        return next(reason for reason in reasons if reason is not None)
    matter = _matter(notice, account, [states[one.certificate_id] for one in held])
    languages = (recipient.language, account.language)
    return ClaimedMail(notice, recipient, row.message_id, row.attempts + 1, row.due_since, until, matter, languages)


def line_void(line: Line, state: CertificateState, *, now: datetime, begun_at: datetime) -> VoidReason | None:
    """Why the line is not mailed, its certificate's fate included."""
    return state.deleted or void_reason(line, state.subject.grant, now=now, begun_at=begun_at)


def _matter(notice: Notice, account: AccountState, states: list[CertificateState]) -> Matter:
    subjects = sorted((one.subject for one in states), key=lambda one: (one.alias, one.certificate_id))
    return Matter(notice.kind, notice.local_date, account.zone, tuple(subjects))


def _event(claimed: ClaimedMail, end: Sent | Never, now: datetime) -> NoticeSent | NoticeFailed:
    certificates: list[UUID] = [one.certificate_id for one in claimed.matter.subjects]
    notice, operator_id, message_id = claimed.notice, claimed.recipient.operator_id, claimed.message_id
    if isinstance(end, Sent):
        return NoticeSent(
            notice_id=notice.notice_id,
            account_id=notice.account_id,
            operator_id=operator_id,
            kind=notice.kind,
            local_date=notice.local_date,
            certificate_ids=certificates,
            message_id=message_id,
            sent_at=now,
        )
    return NoticeFailed(
        notice_id=notice.notice_id,
        account_id=notice.account_id,
        operator_id=operator_id,
        kind=notice.kind,
        local_date=notice.local_date,
        certificate_ids=certificates,
        message_id=message_id,
        failed_at=now,
        reason=end.reason,
    )
