"""A registry on a real database, a CA connector that is a real server with a script, and builders of who and what there is."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import aiohttp
import pytest
import uvicorn
from aiohttp import web
from argon2 import PasswordHasher
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from certificate_registry.connector import Connector
from certificate_registry.consumers import take_in_grant
from certificate_registry.passwords import Passwords
from certificate_registry.reconcile import Reconcile
from certificate_registry.routes import Parts, http
from certificate_registry.storage import operators
from certificate_registry.storage.tables import AccountRow, CertificateRow, OperatorRow
from contracts import AccessGrant, Expiry
from contracts.ca_connector import (
    Authorisation,
    CertificateAuthority,
    CertificateFacts,
    GrantedEpoch,
    OfferedCredential,
)
from contracts.registry import Role
from hosting.calls import InternalCalls
from hosting.database import Sessions, migrate, open_engine, sessions_of
from hosting.service_tokens import TokenIssuer

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
DAY = timedelta(days=1)
CA_URL = "http://localhost:7405/a/oauth2/authorize"


@dataclass
class MovedClock:
    """A clock that stands until it is moved."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


def a_grant(certificate_id: UUID, **told: Any) -> AccessGrant:
    """Epoch 1, granted now for 60 days, unless told otherwise. `last_expired` may be an epoch's number."""
    epoch = told.get("epoch", 1)
    granted_at = told.get("granted_at", NOW)
    if isinstance(ended := told.get("last_expired"), int):
        told["last_expired"] = Expiry(epoch=ended, reason="time", at=NOW)
    plain = {
        "cause": "opened",
        "certificate_id": certificate_id,
        "version": 1,
        "epoch": epoch,
        "state": "active",
        "granted_at": granted_at,
        "expires_at": granted_at + 60 * DAY,
        "usage_limit": 1_000_000_000,
        "used": 0,
        "forfeited": 0,
        "draining": False,
    }
    return AccessGrant(**{**plain, **told})


def some_facts(credential_id: str = "A-SEAL-1", **told: Any) -> CertificateFacts:
    """The X.509 facts of a seal."""
    plain = {
        "credential_id": credential_id,
        "subject": "CN=Exemplo Lda,C=PT",
        "issuer": "CN=Sandbox CA",
        "serial_number": "0a1b",
        "valid_from": NOW - DAY,
        "valid_until": NOW + 700 * DAY,
        "key_algorithm": "RSA",
        "key_bits": 2048,
        "profile": "seal",
        "chain": [],
        "multisign": 10,
    }
    return CertificateFacts(**{**plain, **told})


@dataclass
class ScriptedConnector:
    """The connector's internal API, answering what a test scripted; it keeps what it was asked."""

    authority: CertificateAuthority = field(
        default_factory=lambda: CertificateAuthority(
            id=uuid4(),
            name="Sandbox CA A",
            issuer="http://localhost:7405/a",
            csc_url="http://localhost:7405/a/csc/v2",
            client_id="sinete",
            dialect="csc-v2",
            approval="at-ca",
            signing="implicit",
            policy={},
            client_account_url="https://ca.example/account",
            support_contact="support@ca.example",
            status="active",
        )
    )
    walks: dict[UUID, Authorisation] = field(default_factory=dict)
    begins_as: dict[str, Any] = field(default_factory=dict)
    next: dict[str, Any] = field(default_factory=dict)  # what the next step changes of the walk
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    mishaps: list[int] = field(default_factory=list)  # statuses to answer first; 0 cuts the connection
    refusal: dict[str, Any] | None = None
    url: str = ""

    def app(self) -> web.Application:
        """The server."""
        app = web.Application()
        base = "/internal/v1"
        app.router.add_get(f"{base}/certificate-authorities", self._authorities)
        app.router.add_post(f"{base}/certificate-authorities", self._authority)
        app.router.add_route("*", f"{base}/certificate-authorities/{{id}}", self._authority)
        app.router.add_post(f"{base}/authorisations", self._begin)
        app.router.add_get(f"{base}/authorisations/{{id}}", self._walk)
        app.router.add_post(f"{base}/authorisations/{{id}}/{{step}}", self._step)
        app.router.add_post(f"{base}/certificates/{{id}}/revocation", self._revocation)
        return app

    async def _note(self, request: web.Request) -> None:
        assert request.headers["Authorization"].startswith("Bearer ")
        self.asked.append((f"{request.method} {request.path}", await request.json() if request.can_read_body else {}))
        status = self.mishaps.pop(0) if self.mishaps else None
        if status == 0:
            assert request.transport is not None
            request.transport.abort()
        elif status:
            raise _refused(status, "scripted", "scripted")
        if self.refusal:
            raise _refused(**self.refusal)

    async def _authorities(self, request: web.Request) -> web.Response:
        await self._note(request)
        return web.Response(text=f'{{"items": [{self.authority.model_dump_json()}]}}', content_type="application/json")

    async def _authority(self, request: web.Request) -> web.Response:
        await self._note(request)
        if request.match_info.get("id", str(self.authority.id)) != str(self.authority.id):
            raise _refused(404, "certificate-authority-unknown", "There is no CA of this id.")
        return _json(self.authority, 201 if request.method == "POST" else 200)

    async def _begin(self, request: web.Request) -> web.Response:
        await self._note(request)
        told = await request.json()
        state = uuid4().hex
        plain = {"status": "awaiting-ca", "state": state, "authorization_url": f"{CA_URL}?{urlencode({'state': state})}"}
        begun = {name: told[name] for name in ("id", "kind", "certificate_id")}
        walk = Authorisation(**{**begun, **plain, **self.begins_as})
        self.walks[walk.id] = walk
        return _json(walk, 201)

    async def _walk(self, request: web.Request) -> web.Response:
        await self._note(request)
        return _json(self._known(request))

    async def _step(self, request: web.Request) -> web.Response:
        await self._note(request)
        walk = self._known(request)
        if request.match_info["step"] == "cancellation":
            self.next = {"status": "cancelled", "reason": "access-denied"}
        walk = Authorisation.model_validate({**walk.model_dump(), **self.next})
        self.walks[walk.id] = walk
        return _json(walk)

    async def _revocation(self, request: web.Request) -> web.Response:
        await self._note(request)
        return web.Response(status=204)

    def _known(self, request: web.Request) -> Authorisation:
        walk = self.walks.get(UUID(request.match_info["id"]))
        if walk is None:
            raise _refused(404, "authorisation-unknown", "There is no walk of this id.")
        return walk

    def completes(self, facts: CertificateFacts | None = None, epoch: int = 1) -> None:
        """The next step ends well."""
        granted = GrantedEpoch(epoch=epoch, granted_at=NOW, expires_at=NOW + 60 * DAY)
        self.next = {"status": "completed", "granted": granted, "facts": facts or some_facts(), "reason": None}

    def offers(self, *credential_ids: str) -> None:
        """The next step offers these credentials."""
        self.next = {
            "status": "awaiting-credential",
            "offered": [
                OfferedCredential(
                    credential_id=name, subject="CN=x", valid_until=NOW + DAY, key_algorithm="RSA", usable=True
                ).model_dump()
                for name in credential_ids
            ],
        }

    def times(self, call: str) -> int:
        """How often a call whose path ends so was asked."""
        return sum(path.endswith(call) for path, _ in self.asked)


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(text=body.model_dump_json(), status=status, content_type="application/json")


def _refused(status: int, kind: str, detail: str, **members: Any) -> web.HTTPException:
    import json

    body = json.dumps({"type": kind, "title": kind, "status": status, "detail": detail, **members})
    refusals = {400: web.HTTPBadRequest, 404: web.HTTPNotFound, 409: web.HTTPConflict, 422: web.HTTPUnprocessableEntity}
    return refusals.get(status, web.HTTPServiceUnavailable)(text=body, content_type="application/problem+json")


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        import json

        return json.loads(self.text) if self.text else None


@dataclass
class Registry:
    """One registry, served."""

    url: str
    sessions: Sessions
    clock: MovedClock
    connector: ScriptedConnector
    parts: Parts
    reconcile: Reconcile
    http: aiohttp.ClientSession

    async def call(
        self,
        method: str,
        path: str,
        token: str | None = None,
        json: Any = None,
        cookies: dict[str, str] | None = None,
        **more: Any,
    ) -> Answer:
        """One request; `path` is relative to /api/v1 unless it begins with a slash. Redirects are not followed."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        url = self.url + (path if path.startswith("/") else f"/api/v1/{path}")
        async with self.http.request(
            method, url, json=json, headers={**headers, **more.pop("headers", {})}, allow_redirects=False, **more
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

    async def certificate(self, account_id: UUID, *, alias: str = "Invoices", status: str = "active", at: datetime = NOW) -> UUID:
        """A registered certificate, without a grant."""
        row = CertificateRow(
            id=uuid4(), version=1, account_id=account_id, alias=alias, registered_at=at,
            certificate_authority_id=self.connector.authority.id, certificate_authority_name="Sandbox CA A",
            status=status, scope_of_use="", **some_facts().model_dump(),
        )  # fmt: skip
        async with self.sessions.begin() as session:
            session.add(row)
        return row.id

    async def hear(self, grant: AccessGrant) -> None:
        """The grant monitor tells."""
        await take_in_grant(self.sessions, self.clock, grant)

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


def free_socket() -> socket.socket:
    """A socket bound to a free port."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    return bound


@pytest.fixture(scope="session")
def make() -> Any:
    """The builders, for tests that need no registry."""

    class Make:
        grant = staticmethod(a_grant)
        facts = staticmethod(some_facts)
        now = NOW

    return Make


@pytest.fixture
async def migrated(fresh_database: str) -> str:
    """The URL of a database with the registry's tables."""
    await migrate(fresh_database, "certificate_registry")
    return fresh_database


@pytest.fixture
async def registry(migrated: str, tmp_path: Path) -> AsyncIterator[Registry]:
    """A registry, served on a port of its own."""
    _ = tmp_path
    clock, connector = MovedClock(), ScriptedConnector()
    async with AsyncExitStack() as stack:
        runner = web.AppRunner(connector.app())
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        site = web.SockSite(runner, listening := free_socket())
        await site.start()
        connector.url = f"http://127.0.0.1:{listening.getsockname()[1]}"

        engine = open_engine(migrated, pool_size=5)
        stack.push_async_callback(engine.dispose)
        sessions = sessions_of(engine)
        issuer = TokenIssuer("certificate-registry", a_key(), clock)
        calls = InternalCalls(connector.url, audience="ca-connector", issuer=issuer, timeout_s=5)
        stack.push_async_callback(calls.close)
        reached = Connector(calls)
        bound = free_socket()
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        parts = Parts(sessions, clock, reached, Passwords(PasswordHasher(1, 8, 1)), url, b"ticket key")
        await _serve(stack, http(parts), bound)
        client = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        reconcile = Reconcile(sessions, reached, clock, parts.ticket_key)
        yield Registry(url, sessions, clock, connector, parts, reconcile, client)


async def _serve(stack: AsyncExitStack, app: Any, bound: socket.socket) -> None:
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[assignment, method-assign] # the test runner's signals stay its own
    serving = asyncio.create_task(server.serve(sockets=[bound]))

    async def stop() -> None:
        server.should_exit = True
        await asyncio.wait_for(serving, 10)

    stack.push_async_callback(stop)
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
