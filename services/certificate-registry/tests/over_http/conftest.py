"""A registry on a real database, served on a port of its own, and builders of who and what there is in it."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
import uvicorn
from aiohttp import web
from argon2 import PasswordHasher
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from certificate_registry.calendar import Calendar
from certificate_registry.client_ca import ClientCa, new_client_ca
from certificate_registry.connector import Connector
from certificate_registry.consumers import take_in_grants
from certificate_registry.handing_out import HandingOut
from certificate_registry.issuing import Issuer
from certificate_registry.notifier import Notifier
from certificate_registry.passwords import Passwords
from certificate_registry.posting import Post, Postman
from certificate_registry.reconcile import Reconcile
from certificate_registry.routes import Parts, http
from certificate_registry.sealing import Sealer
from certificate_registry.storage import operators
from certificate_registry.storage.tables import AccountRow, CertificateRow, OperatorRow
from contracts import AccessGrant
from contracts.registry import Role
from hosting.calls import InternalCalls
from hosting.clock import host_utc
from hosting.database import Sessions, open_engine, sessions_of
from hosting.service_tokens import TokenIssuer


@dataclass
class MovedClock:
    """A clock that stands until it is moved."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text) if self.text else None


@dataclass
class Registry:
    """One registry, served."""

    url: str
    sessions: Sessions
    clock: MovedClock
    connector: Any  # the ScriptedConnector
    parts: Parts
    reconcile: Reconcile
    http: aiohttp.ClientSession
    make: Any  # the builders
    postman: Postman
    calendar: Calendar

    async def call(
        self,
        method: str,
        path: str,
        token: str | None = None,
        body: Any = None,
        cookies: dict[str, str] | None = None,
        **more: Any,
    ) -> Answer:
        """One request; `path` is relative to /api/v1 unless it begins with a slash. Redirects are not followed."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        url = self.url + (path if path.startswith("/") else f"/api/v1/{path}")
        async with self.http.request(
            method, url, json=body, headers={**headers, **more.pop("headers", {})}, allow_redirects=False, **more
        ) as answer:
            return Answer(answer.status, answer.headers, await answer.text())

    async def account(self, *, status: str = "active", brought_by: UUID | None = None, zone: str = "Europe/Lisbon") -> UUID:
        """An account."""
        row = AccountRow(
            id=uuid4(), version=1, name="Exemplo, Lda", status=status, zone=zone, notice_hour=9, language="en",
            brought_by=brought_by, created_at=self.clock(),
        )  # fmt: skip
        async with self.sessions.begin() as session:
            session.add(row)
        return row.id

    async def operator(self, role: Role, account_id: UUID | None = None, *, password: str | None = None) -> tuple[UUID, str]:
        """An operator: its id and a token."""
        row = operators.new_operator(
            name="Ana", email=f"{uuid4().hex[:10]}@exemplo.example", role=role, account_id=account_id, now=self.clock()
        )
        row.version = 1
        if password:
            row.password_hash = await self.parts.passwords.hashed(password)
        async with self.sessions.begin() as session:
            session.add(row)
            await session.flush()
            _, token = operators.add_token(session, row.id, "test", None, self.clock())
        return row.id, token

    async def certificate(
        self, account_id: UUID, *, alias: str = "Invoices", status: str = "active", at: datetime | None = None
    ) -> UUID:
        """A registered certificate, without a grant."""
        row = CertificateRow(
            id=uuid4(), version=1, account_id=account_id, alias=alias, registered_at=at or self.clock(),
            certificate_authority_id=self.connector.authority.id, certificate_authority_name="Sandbox CA A",
            status=status, scope_of_use="", **self.make.facts().model_dump(),
        )  # fmt: skip
        async with self.sessions.begin() as session:
            session.add(row)
        return row.id

    async def hear(self, grant: AccessGrant) -> None:
        """The grant monitor tells."""
        await take_in_grants(self.sessions, self.clock, [grant])

    async def issuer(self) -> tuple[UUID, str]:
        """An active account and its issuer's token."""
        account_id = await self.account()
        return account_id, (await self.operator("issuer", account_id))[1]

    async def email_of(self, operator_id: UUID) -> str:
        async with self.sessions() as session:
            return (await session.get_one(OperatorRow, operator_id)).email


def a_key() -> str:
    """An Ed25519 key, PEM."""
    key = Ed25519PrivateKey.generate()
    unsealed = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, unsealed).decode()


@pytest.fixture(scope="session")
def client_ca() -> Issuer:
    """An authority for client certificates."""
    made = new_client_ca("Client CA of the tests", host_utc())
    return Issuer(ClientCa.load(made.key.decode(), made.password.decode(), made.certificate), host_utc)


@dataclass
class Phone:
    """A notifier that keeps what it is given, once per id; `status` is what it answers."""

    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    status: int = 202
    calls: int = 0

    async def take(self, request: web.Request) -> web.Response:
        self.calls += 1
        told = await request.json()
        if self.status == 202:
            self.messages.setdefault(told["id"], told)
        return web.json_response({"id": told["id"], "status": "queued", "type": "scripted"}, status=self.status)

    def sms(self) -> list[str]:
        return [told["text"] for told in self.messages.values() if told["channel"] == "sms"]

    def mails(self) -> list[dict[str, Any]]:
        return [told for told in self.messages.values() if told["channel"] == "email"]

    def password(self) -> str:
        """The newest one-time password."""
        found = [re.findall(r"(?<!\d)\d{6}(?!\d)", text) for text in self.sms()]
        return [digits[0] for digits in found if digits][-1]

    def path(self, kind: str) -> str:
        """The path of the newest link of that kind, `retrieval` or `loss`."""
        links = re.findall(rf"(/client-certificates/{kind}/\S+)", self.mails()[-1]["text"])
        return str(links[0])


@pytest.fixture
def phone() -> Phone:
    """Where mails and SMS arrive."""
    return Phone()


@pytest.fixture
async def registry(migrated: str, connector: Any, make: Any, client_ca: Issuer, phone: Phone) -> AsyncIterator[Registry]:
    """A registry, served on a port of its own."""
    clock = MovedClock(make.now)
    async with AsyncExitStack() as stack:
        engine = open_engine(migrated, pool_size=5)
        stack.push_async_callback(engine.dispose)
        sessions = sessions_of(engine)
        issuer = TokenIssuer("certificate-registry", a_key(), clock)
        calls = InternalCalls(connector.url, audience="ca-connector", issuer=issuer, timeout_s=5)
        stack.push_async_callback(calls.close)
        reached = Connector(calls)
        bound = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        hasher = Passwords(PasswordHasher(1, 8, 1))
        post = Post(Sealer(b"service key"), client_ca.host)
        invites = HandingOut(sessions, clock, client_ca, post, url)
        parts = Parts(sessions, clock, reached, hasher, url, b"ticket key", issues=client_ca, invites=invites, news_within_s=0.5)
        await _serve(stack, http(parts), bound)
        client = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        reconcile = Reconcile(sessions, reached, clock, parts.ticket_key)
        taken = web.Application()
        taken.router.add_post("/internal/v1/messages", phone.take)
        runner = web.AppRunner(taken)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        to_phone = InternalCalls(f"http://127.0.0.1:{runner.addresses[0][1]}", audience="notifier", issuer=issuer, timeout_s=5)
        stack.push_async_callback(to_phone.close)
        postman = Postman(sessions, post, Notifier(to_phone), clock)
        calendar = Calendar(sessions, post, clock, url)
        yield Registry(url, sessions, clock, connector, parts, reconcile, client, make, postman, calendar)


async def _serve(stack: AsyncExitStack, app: Any, bound: socket.socket) -> None:
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[assignment, method-assign] # the test runner's signals stay its own
    serving = asyncio.create_task(server.serve(sockets=[bound]))

    async def stop() -> None:
        server.should_exit = True
        await asyncio.wait_for(serving, 10)

    stack.push_async_callback(stop)
    while not server.started:
        await asyncio.sleep(0.01)
