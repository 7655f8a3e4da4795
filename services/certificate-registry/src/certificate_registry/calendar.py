"""What time does to client certificates: warnings to operators, the end, and files that nobody came to fetch."""

import asyncio
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry import letters
from certificate_registry.posting import Post
from certificate_registry.storage import client_certificates, retrievals
from certificate_registry.storage.audit_trail import record
from certificate_registry.storage.client_certificate_tables import ClientCertificateRow
from certificate_registry.storage.tables import AccountRow, ClientServiceRow, OperatorRow
from hosting import Clock
from hosting.database import Sessions
from observability import get_logger, untraced

log = get_logger(__name__)
EVERY_S = 2.0
ACTOR = "certificate-registry"


class Calendar:
    """Any number of instances: each step holds the certificate's lock and finds what is left to do."""

    def __init__(self, sessions: Sessions, post: Post, clock: Clock, public_url: str) -> None:
        self._sessions, self._post, self._clock, self._public_url = sessions, post, clock, public_url

    async def run(self) -> None:
        """For the life of the process."""
        while True:
            with untraced():
                await self.once()
            await asyncio.sleep(EVERY_S)

    async def once(self) -> None:
        """All that is due by now."""
        async with self._sessions() as session:
            due = await client_certificates.due(session, self._clock())
        for certificate_id in due:
            await self._pass(certificate_id)
        async with self._sessions.begin() as session:
            if count := await retrievals.forget_unfinished(session, self._clock()):
                log.info("files that were not fetched in time are forgotten", count=count)

    async def _pass(self, certificate_id: UUID) -> None:
        now = self._clock()
        async with self._sessions.begin() as session:
            service, row = await client_certificates.locked(session, certificate_id)
            before = client_certificates.standing_of(row)
            after = before.passed(now)
            client_certificates.write_standing(row, after)
            if after.status != before.status:
                await client_certificates.tell_service(session, service, "client-certificate-expired", now)
                self._record(session, "expired", row, now)
            elif after.warned_days is not None and after.warned_days != before.warned_days:
                await self._warn(session, service, row, after.warned_days)
                self._record(session, "warned", row, now, days=after.warned_days)

    async def _warn(self, session: AsyncSession, service: ClientServiceRow, row: ClientCertificateRow, days: int) -> None:
        """A mail to each active operator of the account, under an id of its own for each threshold."""
        account = await session.get_one(AccountRow, row.account_id)
        of_account = select(OperatorRow).where(OperatorRow.account_id == row.account_id, OperatorRow.status == "active")
        assert row.valid_until is not None
        for operator in (await session.scalars(of_account)).all():
            told = letters.letter(
                "expiring",
                operator.language,
                message_id=letters.id_of(row.id, f"expiring|{days}|{operator.id}"),
                to=operator.email,
                operator=operator.name,
                client_name=row.client_name,
                service=service.name,
                days=days,
                until=letters.local(row.valid_until, account.zone),
                orders=f"{self._public_url}/api/v1/client-certificates",
            )
            await self._post.put(session, told, useless_from=row.valid_until)

    def _record(self, session: AsyncSession, action: str, row: ClientCertificateRow, now: datetime, **detail: int) -> None:
        record(
            session,
            action,
            actor=ACTOR,
            kind="client-certificate",
            id=row.id,
            account_id=row.account_id,
            now=now,
            client_service_id=row.client_service_id,
            **detail,
        )
