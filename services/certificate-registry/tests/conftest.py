"""Builders, a database with the registry's tables, and a CA connector that is a real server with a script."""

import asyncio
import json
import socket
import warnings
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certificate_registry.storage import METADATA
from contracts import AccessGrant, Expiry
from contracts.ca_connector import (
    Authorisation,
    CertificateAuthority,
    CertificateFacts,
    GrantedEpoch,
    OfferedCredential,
)
from hosting.database import migrate

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
DAY = timedelta(days=1)
CA_URL = "http://localhost:7405/a/oauth2/authorize"


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


def a_request(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | None = None,
    *,
    names: dict[str, str] | None = None,
    hashed: hashes.HashAlgorithm | None = None,
) -> str:
    """A certificate signing request, PEM, of a key on P-256 unless another is given."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    names = {"CN": "erp.exemplo.example", "O": "Exemplo, Lda", "L": "Porto", "C": "PT"} if names is None else names
    oids = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME, "L": NameOID.LOCALITY_NAME, "C": NameOID.COUNTRY_NAME}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library warns of the country that is meant to be wrong
        subject = x509.Name([x509.NameAttribute(oids[name], value, _validate=False) for name, value in names.items()])
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashed or hashes.SHA256()
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, digest)
    return request.public_bytes(Encoding.PEM).decode()


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

    def offers(self, *credential_ids: str, taken: str = "") -> None:
        """The next step offers these credentials; `taken` is registered already."""
        self.next = {
            "status": "awaiting-credential",
            "offered": [
                OfferedCredential(
                    credential_id=name, subject="CN=x", valid_until=NOW + DAY, key_algorithm="RSA", usable=name != taken
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
    body = json.dumps({"type": kind, "title": kind, "status": status, "detail": detail, **members})
    refusals = {400: web.HTTPBadRequest, 404: web.HTTPNotFound, 409: web.HTTPConflict, 422: web.HTTPUnprocessableEntity}
    return refusals.get(status, web.HTTPServiceUnavailable)(text=body, content_type="application/problem+json")


@pytest.fixture(scope="session")
def make() -> Any:
    """The builders, for tests that need no registry."""

    class Make:
        grant = staticmethod(a_grant)
        facts = staticmethod(some_facts)
        request = staticmethod(a_request)
        now = NOW

    return Make


@pytest.fixture(scope="session")
def own_database(database_url: str) -> Iterator[str]:
    """The URL of a database with the registry's tables, one for all tests of this worker."""
    name = f"registry_{uuid4().hex}"
    url = urlsplit(database_url)._replace(path=f"/{name}").geturl()
    with ThreadPoolExecutor(1) as aside:  # in a loop of its own, whatever loop the tests have
        aside.submit(asyncio.run, _run(database_url, f'CREATE DATABASE "{name}"')).result()
        aside.submit(asyncio.run, migrate(url, "certificate_registry")).result()
        yield url
        aside.submit(asyncio.run, _run(database_url, f'DROP DATABASE "{name}" WITH (FORCE)')).result()


async def _run(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url, timeout=30)
    try:
        for statement in statements:
            await connection.execute(statement, timeout=60)
    finally:
        await connection.close(timeout=10)


@pytest.fixture
async def migrated(own_database: str) -> str:
    """The URL of a database with the registry's tables, empty."""
    tables = (f'DELETE FROM "{table.name}"' for table in reversed(METADATA.sorted_tables))
    await _run(own_database, ";".join(tables))
    return own_database


@pytest.fixture
async def connector() -> AsyncIterator[ScriptedConnector]:
    """The scripted connector, served."""
    scripted = ScriptedConnector()
    runner = web.AppRunner(scripted.app())
    await runner.setup()
    bound = socket.create_server(("127.0.0.1", 0))
    await web.SockSite(runner, bound).start()
    scripted.url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    yield scripted
    await runner.cleanup()
