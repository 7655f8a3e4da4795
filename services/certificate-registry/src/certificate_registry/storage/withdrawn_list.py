"""The list of withdrawn client certificates (CRL), made anew by whoever asks for it first after something changed."""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry.client_ca import CRL_VALID_FOR, ClientCa, Withdrawn
from certificate_registry.storage.client_certificate_tables import ClientCertificateRow, WithdrawnListRow
from hosting.database import Sessions

ONLY = 1
RENEWED_BEFORE = CRL_VALID_FOR / 2
_EVER = (ClientCertificateRow.status == "withdrawn", ClientCertificateRow.certificate.is_not(None))


async def current(sessions: Sessions, ca: ClientCa, host_now: datetime) -> WithdrawnListRow:
    """The list that holds all that is withdrawn now and is good for some days yet: nothing has to run for it to stay fresh."""
    async with sessions() as session:
        row = await session.get(WithdrawnListRow, ONLY)
        if row is not None and await _fresh(session, row, host_now):
            return row
    async with sessions.begin() as session:
        empty = {"number": 0, "withdrawn": 0, "next_update": host_now - timedelta(days=1), "body": b""}
        await session.execute(insert(WithdrawnListRow).values(id=ONLY, **empty).on_conflict_do_nothing())
        row = await session.get_one(WithdrawnListRow, ONLY, with_for_update=True, populate_existing=True)
        if not await _fresh(session, row, host_now):
            await _make(session, row, ca, host_now)
    return row


async def _fresh(session: AsyncSession, row: WithdrawnListRow, host_now: datetime) -> bool:
    ever = await session.scalar(select(func.count()).select_from(ClientCertificateRow).where(*_EVER))
    return row.withdrawn == ever and host_now < row.next_update - RENEWED_BEFORE


async def _make(session: AsyncSession, row: WithdrawnListRow, ca: ClientCa, host_now: datetime) -> None:
    """Those that have expired by themselves are left out (RFC 5280 §3.3). No entry's date lies ahead of the host's time."""
    found = (await session.scalars(select(ClientCertificateRow).where(*_EVER).order_by(ClientCertificateRow.withdrawn_at))).all()
    entries = [
        Withdrawn(int(each.serial_number, 16), min(each.withdrawn_at, host_now), lost=each.withdrawn_by == "contact")
        for each in found
        if each.serial_number and each.withdrawn_at and each.valid_until and each.valid_until > host_now
    ]
    row.number, row.withdrawn, row.next_update = row.number + 1, len(found), host_now + CRL_VALID_FOR
    row.body = ca.crl(entries, number=row.number, now=host_now)
