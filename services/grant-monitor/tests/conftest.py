import json
from collections import defaultdict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID, uuid4

import httpx2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import settings
from joserfc.jwk import OKPKey
from sqlalchemy import select

from contracts import CaAccessGranted, CaAccessWithdrawn, SignatureApplied, UnreadableEvent, Want
from contracts.topics import TYPES
from grant_monitor.books import Books
from grant_monitor.consumers import hear
from grant_monitor.routes import internal_api
from grant_monitor.storage import METADATA, books_of
from hosting import host_utc
from hosting.database import migrate, open_engine, sessions_of
from hosting.service_tokens import TokenIssuer, TokenVerifier
from messaging import Heard
from messaging.bodies import plainly

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

CERTIFICATE = UUID("0193a1b0-0000-7000-8000-00000000000c")
SERVICE = UUID("0193a1b0-0000-7000-8000-00000000000d")
GRANTED = datetime(2026, 11, 21, 12, tzinfo=UTC)


def _a_grant(
    certificate_id=CERTIFICATE, epoch=1, *, limit=1000, at=GRANTED, lasts=timedelta(days=60), before=timedelta(days=7), bp=9000
):
    return CaAccessGranted(
        certificate_id=certificate_id,
        epoch=epoch,
        granted_at=at,
        expires_at=at + lasts,
        usage_limit=limit,
        warn_before_s=int(before.total_seconds()),
        warn_above_bp=bp,
    )


def _a_withdrawal(certificate_id=CERTIFICATE, epoch=1, *, at):
    return CaAccessWithdrawn(certificate_id=certificate_id, epoch=epoch, withdrawn_at=at, by="certificate-authority")


def _a_want(certificate_id=CERTIFICATE, epoch=1, *, need=1, want=None, allowance_id=None, service=SERVICE):
    return Want(
        allowance_id=allowance_id or uuid4(),
        certificate_id=certificate_id,
        client_service_id=service,
        epoch=epoch,
        need=need,
        want=want or need,
    )


def _an_applied(want, total, *, count=1):
    return SignatureApplied(
        certificate_id=want.certificate_id,
        epoch=want.epoch,
        client_service_id=want.client_service_id,
        allowance_id=want.allowance_id,
        first=max(0, total - count),
        count=count,
        total=total,
        outcome="applied",
    )


def _some_books(*granted, now=GRANTED):
    books = Books(now, now)
    for event in granted:
        books.open(event)
    return books


@pytest.fixture
def make():
    """The builders: `make.grant(epoch=2)`, `make.want(need=3)`, `make.applied(want, total)`; and what they are about."""
    return SimpleNamespace(
        certificate_id=CERTIFICATE,
        granted_at=GRANTED,
        grant=_a_grant,
        withdrawal=_a_withdrawal,
        want=_a_want,
        applied=_an_applied,
        books=_some_books,
    )


@pytest.fixture
def booked():
    """Books with one grant of 1000 and one open block of 5; the want that got it."""
    books, want = _some_books(_a_grant()), _a_want(need=5)
    books.answer(want, "gw-1")
    return books, want


class MovedClock:
    """A clock that stands until it is moved."""

    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


class StraightHearing:
    """Stands for the bus: what is told is handed straight to the handler, and what is refused is kept as a dead letter."""

    def __init__(self):
        self.handlers, self.dead = {}, []

    def hears(self, *types, tombstones=False):
        return lambda handler: self.handlers.update(dict.fromkeys(types, (handler, False, False)))

    def hears_batch(self, *types, tombstones=False, plainly=False):
        return lambda handler: self.handlers.update(dict.fromkeys(types, (handler, True, plainly)))

    async def tell(self, *events, at=GRANTED):
        await self.tell_at([(event, at) for event in events])

    async def tell_at(self, told):
        """Events, each told at its own instant."""
        handler, in_batches, plain = self.handlers[type(told[0][0])]
        heard = [Heard(plainly(type(event))(event.body()) if plain else event, event.key, at, str(uuid4())) for event, at in told]
        for part in [heard] if in_batches else heard:
            try:
                await handler(part)
            except UnreadableEvent as refusal:
                if isinstance(part, list) and len(part) > 1:
                    for each in told:
                        await self.tell_at([each])
                else:
                    self.dead.append(str(refusal))


@dataclass
class Caller:
    """Calls the internal API of a service of its own, as the service it is given tokens of."""

    client: httpx2.AsyncClient
    issuers: dict

    async def post(self, path, body, *, service="signing-gateway"):
        token = self.issuers[service].issue("grant-monitor")
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return await self.client.post(path, content=body.model_dump_json(), headers=headers)

    async def get(self, path, *, service="certificate-registry"):
        return await self.client.get(path, headers={"Authorization": f"Bearer {self.issuers[service].issue('grant-monitor')}"})


@dataclass
class Database:
    """The monitor's real database, with what is in it in a form that tests compare."""

    url: str = field(repr=False)
    engine: object = field(repr=False)
    sessions: object = field(repr=False)

    def books(self, *certificates, now=GRANTED, host_now=None, allowances=()):
        sessions = self.sessions

        @asynccontextmanager
        async def held():
            moment = host_now or host_utc()
            async with (
                sessions.begin() as session,
                books_of(session, certificates, allowances, now=now, host_now=moment) as books,
            ):
                yield books

        return held()

    async def rows(self, name):
        table = METADATA.tables[name]
        async with self.engine.connect() as connection:
            return [row._asdict() for row in await connection.execute(select(table).order_by(*table.primary_key))]

    async def told(self):
        """Every event put to the outbox, by topic, in order."""
        told = defaultdict(list)
        for row in await self.rows("outbox"):
            told[row["topic"]].append(TYPES[row["type"]].model_validate_json(row["body"]))
        return told

    async def everything(self):
        return {name: await self.rows(name) for name in METADATA.tables}


@pytest.fixture
async def database(fresh_database):
    await migrate(fresh_database, "grant_monitor")
    engine = open_engine(fresh_database)
    yield Database(fresh_database, engine, sessions_of(engine))
    await engine.dispose()


@pytest.fixture
def clock():
    return MovedClock(GRANTED)


@pytest.fixture
def bus(database, clock):
    hearing = StraightHearing()
    hear(hearing, database.sessions, clock)
    return hearing


@pytest.fixture
def service_keys(tmp_path):
    """Private keys by service; `service_keys.json` beside them holds the public ones."""
    plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    names = "signing-gateway", "certificate-registry", "notifier", "grant-monitor"
    made = {name: Ed25519PrivateKey.generate().private_bytes(*plain).decode() for name in names}
    public = [OKPKey.import_key(pem, {"kid": name}).as_dict(private=False) for name, pem in made.items()]
    (tmp_path / "service_keys.json").write_text(json.dumps({"keys": public}))
    return made


@pytest.fixture
async def an_api(database, clock, service_keys, tmp_path):
    """Makes one instance of the monitor's API after the other, each with connections of its own."""
    made = []

    def instance():
        engine = open_engine(database.url, pool_size=5)
        verifier = TokenVerifier("grant-monitor", tmp_path / "service_keys.json", clock)
        app = internal_api(sessions_of(engine), clock, verifier)
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        client = httpx2.AsyncClient(transport=transport, base_url="http://grant-monitor", timeout=60)
        made.append((client, engine))
        return Caller(client, {name: TokenIssuer(name, pem, clock) for name, pem in service_keys.items()})

    yield instance
    for client, engine in made:
        await client.aclose()
        await engine.dispose()
