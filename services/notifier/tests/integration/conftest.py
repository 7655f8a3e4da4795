"""A notifier on the real database, with clocks that stand until they are moved."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Table, select

from contracts import AccessGrant, Account, Certificate, ClientService, NoticeFailed, NoticeSent, Operator, Told
from contracts.topics import TYPES
from hosting import host_utc
from hosting.database import Sessions, migrate, open_engine, sessions_of
from notifier.carriers.smtp import MailServer
from notifier.consumers import hear_account, hear_grant
from notifier.letter import Letters
from notifier.mail import address
from notifier.storage.projections import keep_certificate, keep_client_service, keep_operator
from notifier.storage.tables import METADATA, line, mail
from notifier.worker.delivering import Deliveries
from notifier.worker.notices import NoticeMails
from notifier.worker.taking_up import TakingUp

SENDER = address("notices@sinete.example", "Sinete")
NOON = datetime(2027, 1, 13, 12, 0, tzinfo=UTC)
GRANTED = NOON - timedelta(days=53)


@dataclass
class StillClock:
    """A clock that shows `now` until it is moved."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def move(self, **by: float) -> None:
        self.now += timedelta(**by)


@dataclass
class World:
    """One notifier database with everything needed to work on it."""

    url: str
    sessions: Sessions
    mailbox: Any
    mail_server: MailServer
    clock: StillClock
    host: StillClock
    account_id: UUID = field(default_factory=uuid4)

    async def hear(self, *told: Told) -> None:
        """As the consumers would, without the bus."""
        for event in told:
            async with self.sessions.begin() as session:
                match event:
                    case AccessGrant():
                        await hear_grant(session, event, clock=self.clock, host=self.host)
                    case Account():
                        await hear_account(session, event)
                    case Operator():
                        await keep_operator(session, event)
                    case Certificate():
                        await keep_certificate(session, event)
                    case ClientService():
                        await keep_client_service(session, event)

    def account(self, **changes: object) -> Account:
        facts = {"cause": "changed", "account_id": self.account_id, "version": 1, "name": "Exemplo, Lda", "status": "active"}
        return Account.model_validate(facts | changes)

    def operator(self, who: str, **changes: object) -> Operator:
        facts = {
            "cause": "created",
            "operator_id": UUID(int=sum(who.encode()) << 64 | self.account_id.int >> 64),
            "version": 1,
            "account_id": self.account_id,
            "name": who,
            "email": f"{who.lower()}@exemplo.example",
            "role": "issuer",
            "status": "active",
        }
        return Operator.model_validate(facts | changes)

    def certificate(self, certificate_id: UUID, **changes: object) -> Certificate:
        facts = {
            "cause": "registered",
            "certificate_id": certificate_id,
            "version": 1,
            "account_id": self.account_id,
            "alias": "Invoices",
            "certificate_authority_id": uuid4(),
            "certificate_authority_name": "Sandbox CA A",
            "credential_id": "A-1",
            "status": "active",
            "subject": "CN=x",
            "issuer": "CN=y",
            "serial_number": "1f",
            "valid_from": GRANTED,
            "valid_until": GRANTED + timedelta(days=700),
            "key_algorithm": "RSA",
            "key_bits": 2048,
            "profile": "seal",
            "chain": [],
        }
        return Certificate.model_validate(facts | changes)

    def client_service(self, certificate_id: UUID, name: str = "Invoicing", **changes: object) -> ClientService:
        facts = {
            "cause": "created",
            "client_service_id": uuid4(),
            "version": 1,
            "account_id": self.account_id,
            "certificate_id": certificate_id,
            "name": name,
            "client_id": name,
            "secret_sha256": "00",
            "status": "active",
            "reason": None,
            "activated_for_epoch": 1,
        }
        return ClientService.model_validate(facts | changes)

    def grant(self, certificate_id: UUID, **changes: object) -> AccessGrant:
        facts = {
            "cause": "counted",
            "certificate_id": certificate_id,
            "version": 1,
            "epoch": 1,
            "state": "active",
            "granted_at": GRANTED,
            "expires_at": GRANTED + timedelta(days=60),
            "usage_limit": 10,
            "used": 0,
            "forfeited": 0,
            "draining": False,
        }
        return AccessGrant.model_validate(facts | changes)

    async def with_operators(self, *names: str) -> UUID:
        """The account, its operators and one certificate; answers the certificate's id."""
        certificate_id = uuid4()
        await self.hear(self.account(), self.certificate(certificate_id), *(self.operator(name) for name in names))
        return certificate_id

    def job(self) -> NoticeMails:
        """One instance's job."""
        letters = Letters("https://office.example")
        return NoticeMails(self.sessions, letters, self.mail_server, sender=SENDER, clock=self.clock, host=self.host)

    def taking_up(self) -> TakingUp:
        """One instance's taking up."""
        nobody = lambda: None  # noqa: E731 - nobody is woken
        return TakingUp(self.sessions, domain=SENDER.domain, clock=self.clock, host=self.host, taken_up=nobody)

    async def take_up(self) -> None:
        """Lets the waits pass, then takes up what is owed."""
        self.host.move(seconds=11)
        while await self.taking_up().once():
            pass

    async def deliver(self) -> None:
        """One instance delivers what is due, one after the other."""
        job = self.job()
        while claimed := await job.claim(100):
            for one in claimed:
                await job.record(one, await job.deliver(one))

    async def work(self) -> None:
        """Takes up and delivers."""
        await self.take_up()
        await self.deliver()

    async def mails(self) -> list[tuple[str, str | None]]:
        """Status and reason of every mail."""
        async with self.sessions() as session:
            rows = await session.execute(select(mail.c.status, mail.c.reason).order_by(mail.c.status))
            return [(row.status, row.reason) for row in rows]

    async def lines(self) -> list[tuple[str, str | None]]:
        """Kind of every line, and why it is void or "taken up" or None."""
        async with self.sessions() as session:
            rows = await session.execute(select(line).order_by(line.c.line_id))
            return [(row.kind, "taken up" if row.notice_id else row.void_reason) for row in rows]

    async def told(self) -> list[NoticeSent | NoticeFailed]:
        """The events in the outbox."""
        outbox: Table = METADATA.tables["outbox"]
        async with self.sessions() as session:
            rows = (await session.execute(select(outbox).order_by(outbox.c.id))).all()
        events = [TYPES[row.type].model_validate_json(row.body) for row in rows]
        return [event for event in events if isinstance(event, NoticeSent | NoticeFailed)]


@pytest.fixture
async def world(fresh_database: str, mailbox: Any, certificate_files: tuple[Path, Path]) -> AsyncIterator[World]:
    """A migrated database and a mailbox, at noon."""
    await migrate(fresh_database, "notifier")
    engine = open_engine(fresh_database)
    server = MailServer("127.0.0.1", mailbox.port, "sinete", SENDER, mailbox.password, certificate_files[0])
    yield World(fresh_database, sessions_of(engine), mailbox, server, StillClock(NOON), StillClock(host_utc()))
    await engine.dispose()


@pytest.fixture
def running() -> Callable[..., object]:
    """Runs deliveries and taking up in the background for the length of a `with`, as `n` instances."""

    @asynccontextmanager
    async def run(world: World, n: int = 1) -> AsyncIterator[None]:
        deliveries = [Deliveries(world.job()) for _ in range(n)]
        work: list[Callable[[], Awaitable[None]]] = [each.run for each in deliveries]
        work += [world.taking_up().run for _ in range(n)]
        tasks = [asyncio.ensure_future(each()) for each in work]
        try:
            yield
        finally:
            for each in deliveries:
                await each.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    return run
