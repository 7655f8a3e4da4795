"""What time does to client certificates: warnings to operators, the end, and what is forgotten: unfetched files, contacts."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry import letters
from certificate_registry.posting import Post
from certificate_registry.storage import client_certificates, retrievals
from certificate_registry.storage.audit_trail import record
from certificate_registry.storage.client_certificate_tables import ClientCertificateRow
from certificate_registry.storage.tables import AccountRow, ClientServiceRow
from certificate_registry.telling_operators import tell_operators
from hosting import Clock
from hosting.database import Sessions
from observability import get_logger

log = get_logger(__name__)
ACTOR = "certificate-registry"


class Calendar:
    """Any number of instances: each step holds the certificate's lock and finds what is left to do."""

    def __init__(self, sessions: Sessions, post: Post, clock: Clock, public_url: str) -> None:
        self._sessions, self._post, self._clock, self._public_url = sessions, post, clock, public_url

    async def once(self) -> None:
        """All that is due by now."""
        async with self._sessions() as session:
            due = await client_certificates.due(session, self._clock())
        for certificate_id in due:
            await self._pass(certificate_id)
        async with self._sessions.begin() as session:
            if count := await retrievals.forget_unfinished(session, self._clock()):
                log.info("files that were not fetched in time are forgotten", count=count)
            if count := await client_certificates.forget_contacts(session, self._clock()):
                log.info("contacts who need not be known any more are forgotten", count=count)

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
        account = await session.get_one(AccountRow, row.account_id)
        assert row.valid_until is not None
        until = letters.local(row.valid_until, account.zone)
        once, url = f"expiring|{days}", self._public_url
        await tell_operators(session, self._post, service, row, "expiring", once=once, public_url=url, days=days, until=until)

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
