"""Notices and their mails: made when lines are taken up, read again before every sending."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.notices import NoticeKind
from notifier.letter import Subject
from notifier.notice import Bundle, Line, Recipient, Service, VoidReason
from notifier.storage.lines import line_of
from notifier.storage.projections import grants_of
from notifier.storage.tables import account, certificate, client_service, line, mail, notice, operator


@dataclass(frozen=True)
class Notice:
    """A notice that was taken up."""

    notice_id: UUID
    account_id: UUID
    kind: NoticeKind
    local_date: date
    traceparent: str | None = None
    """Of what its first line was heard of."""


@dataclass(frozen=True)
class CertificateState:
    """What lines of one certificate are judged by and told with."""

    subject: Subject
    deleted: VoidReason | None


@dataclass(frozen=True)
class AccountState:
    """The account as far as its mails go."""

    zone: ZoneInfo
    language: str


def this_mail(notice_id: UUID, operator_id: UUID) -> ColumnElement[bool]:
    """The row of one mail."""
    return (mail.c.notice_id == notice_id) & (mail.c.operator_id == operator_id)


async def operators_of(session: AsyncSession, account_id: UUID) -> list[Recipient]:
    """All operators of the account that were ever heard of."""
    rows = await session.execute(select(operator).where(operator.c.account_id == account_id).order_by(operator.c.operator_id))
    return [_recipient(row) for row in rows]


async def operator_now(session: AsyncSession, operator_id: UUID) -> Recipient:
    """The operator as told last."""
    return _recipient((await session.execute(select(operator).where(operator.c.operator_id == operator_id))).one())


def _recipient(row: Row[*tuple[Any, ...]]) -> Recipient:
    return Recipient(row.operator_id, row.name, row.email, row.language, row.role, row.status)


async def take_up(
    session: AsyncSession,
    account_id: UUID,
    bundle: Bundle,
    to: Sequence[Recipient],
    *,
    domain: str,
    now: datetime,
    host_now: datetime,
) -> UUID:
    """Makes the notice of `bundle`'s lines and one mail for each of `to`, under a Message-ID that never changes."""
    notice_id = uuid4()
    await session.execute(
        insert(notice).values(
            notice_id=notice_id, account_id=account_id, kind=bundle.kind, local_date=bundle.local_date, taken_up_at=now
        )
    )
    await session.execute(
        update(line).where(line.c.line_id.in_([one.line_id for one in bundle.lines])).values(notice_id=notice_id)
    )
    mails = [
        {
            "notice_id": notice_id,
            "operator_id": one.operator_id,
            "message_id": f"<{notice_id}.{one.operator_id}@{domain}>",
            "status": "due",
            "attempts": 0,
            "due_since": host_now,
            "next_attempt_at": host_now,
        }
        for one in to
    ]
    if mails:
        await session.execute(insert(mail), mails)
    return notice_id


async def notice_of(session: AsyncSession, notice_id: UUID) -> tuple[Notice, list[Line]]:
    """The notice and all lines it took up."""
    row = (await session.execute(select(notice).where(notice.c.notice_id == notice_id))).one()
    lines = (await session.execute(select(line).where(line.c.notice_id == notice_id).order_by(line.c.line_id))).all()
    traceparent = lines[0].traceparent if lines else None
    return Notice(row.notice_id, row.account_id, row.kind, row.local_date, traceparent), [line_of(one) for one in lines]


async def account_state(session: AsyncSession, account_id: UUID) -> tuple[AccountState, VoidReason | None]:
    """Zone and language, and the reason not to mail it any more."""
    row = (await session.execute(select(account).where(account.c.account_id == account_id))).one()
    return AccountState(ZoneInfo(row.zone), row.language), "account-deleted" if row.status == "deleted" else None


async def certificate_states(session: AsyncSession, certificate_ids: set[UUID]) -> dict[UUID, CertificateState]:
    """What is known of these certificates. Each has a row and a grant: its lines could not have been found otherwise."""
    grants = await grants_of(session, certificate_ids)
    services: dict[UUID, list[Service]] = {one: [] for one in certificate_ids}
    for row in await session.execute(select(client_service).where(client_service.c.certificate_id.in_(certificate_ids))):
        services[row.certificate_id].append(Service(row.name, row.status, row.reason, row.activated_for_epoch))
    rows = await session.execute(select(certificate).where(certificate.c.certificate_id.in_(certificate_ids)))
    return {
        row.certificate_id: CertificateState(
            Subject(row.certificate_id, row.alias, grants[row.certificate_id], tuple(services[row.certificate_id])),
            "certificate-deleted" if row.status == "deleted" else None,
        )
        for row in rows
    }


async def void_mail(session: AsyncSession, which: ColumnElement[bool], reason: VoidReason, now: datetime) -> None:
    """Decides a mail: it is never sent."""
    await session.execute(
        update(mail).where(which, mail.c.status == "due").values(status="void", reason=reason, claimed_until=None, decided_at=now)
    )


async def mails_with(session: AsyncSession, status: str, *, page: int, page_size: int) -> tuple[list[Row[*tuple[Any, ...]]], int]:
    """One page of the mails in `status`, the last decided first, and how many there are in all."""
    total = await session.scalar(select(func.count()).select_from(mail).where(mail.c.status == status))
    rows = await session.execute(
        select(mail, notice.c.account_id, notice.c.kind, notice.c.local_date)
        .join(notice, notice.c.notice_id == mail.c.notice_id)
        .where(mail.c.status == status)
        .order_by(mail.c.decided_at.desc().nulls_last(), mail.c.notice_id, mail.c.operator_id)
        .limit(page_size)
        .offset((page - 1) * page_size)
    )
    return list(rows.all()), total or 0


async def certificates_of(session: AsyncSession, notice_ids: set[UUID]) -> dict[UUID, list[UUID]]:
    """The certificates that each notice is about."""
    found: dict[UUID, list[UUID]] = {one: [] for one in notice_ids}
    rows = await session.execute(
        select(line.c.notice_id, line.c.certificate_id).where(line.c.notice_id.in_(notice_ids)).order_by(line.c.line_id)
    )
    for row in rows:
        found[row.notice_id].append(row.certificate_id)
    return found
