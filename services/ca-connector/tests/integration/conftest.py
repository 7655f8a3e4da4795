"""A connector on the real database, called as the registry and the gateway call it; its CA is the fake one."""

import json
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import SimpleNamespace
from uuid import uuid4

import httpx2
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey
from sqlalchemy import select

from ca_connector.app import build
from ca_connector.consumers import hear
from ca_connector.sealing import Sealer
from ca_connector.settings import Settings
from ca_connector.storage import METADATA
from contracts.topics import TYPES
from hosting.database import migrate, open_engine, sessions_of
from hosting.service_tokens import TokenIssuer

START = datetime(2026, 11, 21, 12, tzinfo=UTC)
SHA256, SHA256_ECDSA = "2.16.840.1.101.3.4.2.1", "1.2.840.10045.4.3.2"
REGISTRY, GATEWAY = "certificate-registry", "signing-gateway"


@dataclass
class MovedClock:
    """A clock that stands until it is moved."""

    now: datetime = START

    def __call__(self):
        return self.now

    def move(self, **by):
        self.now += timedelta(**by)


@dataclass
class Connector:
    """One instance. What is answered is (status, body)."""

    client: httpx2.AsyncClient = field(repr=False)
    issuers: dict = field(repr=False)
    engine: object = field(repr=False)
    ca: object = field(repr=False)
    clock: MovedClock = field(repr=False)
    background: list = field(repr=False)
    routes: object = field(repr=False)

    async def call(self, method, path, body=None, *, service=REGISTRY):
        headers = {"Authorization": f"Bearer {self.issuers[service].issue('ca-connector')}"}
        answer = await self.client.request(method, f"/internal/v1/{path}", json=body, headers=headers)
        if answer.headers.get("content-type") == "application/x-ndjson":
            return answer.status_code, [json.loads(line) for line in answer.text.splitlines()]
        return answer.status_code, answer.json() if answer.content else None

    async def profile(self, **changes):
        """A new CA profile's id."""
        policy = changes.pop("policy", {})
        body = {
            "name": f"CA {uuid4()}",
            "issuer": self.ca.issuer,
            "csc_url": f"http://127.0.0.1:{self.ca.port}/ca/csc/v2",
            "client_id": "sinete",
            "client_secret": "canary-client-secret",
            "policy": policy,
            **changes,
        }
        status, answer = await self.call("POST", "certificate-authorities", body)
        assert status == 201, answer
        return answer["id"]

    async def begin(self, profile, certificate=None, kind="registration", **changes):
        """A walk as it stands after its first step."""
        body = {
            "id": str(uuid4()),
            "kind": kind,
            "certificate_id": str(certificate or uuid4()),
            "certificate_authority_id": str(profile),
            "operator_id": str(uuid4()),
            **changes,
        }
        status, walk = await self.call("POST", "authorisations", body)
        assert status in {200, 201}, walk
        return walk

    async def returned(self, walk, **changes):
        """(status, body) of the callback after the person agreed at the CA."""
        back = self.ca.consent(walk["authorization_url"], **changes)
        return await self.call("POST", f"authorisations/{walk['id']}/callback", back)

    async def act(self, walk, what, body=None):
        return await self.call("POST", f"authorisations/{walk['id']}/{what}", body)

    async def registered(self, profile, credential="SEAL-1"):
        """The completed walk of a new certificate."""
        walk = await self.begin(profile)
        status, walk = await self.returned(walk)
        assert (status, walk["status"]) == (200, "awaiting-credential"), walk
        status, walk = await self.act(walk, "credential", {"credential_id": credential})
        if walk["status"] == "awaiting-authorisation":
            status, walk = await self.act(walk, "authorisation", {"otp": self.ca.otp, "pin": self.ca.pin})
        assert (status, walk["status"]) == (200, "completed"), walk
        return walk

    async def renewed(self, profile, certificate):
        """(status, body) at the end of a renewal through the CA's pages."""
        return await self.returned(await self.begin(profile, certificate, "renewal"))

    async def sign(self, certificate, count=1, *, epoch=1, **changes):
        """The one result."""
        hashes = [b64encode(sha256(uuid4().bytes).digest()).decode() for _ in range(count)]
        item = {
            "item_id": str(uuid4()),
            "certificate_id": str(certificate),
            "epoch": epoch,
            "hashes": hashes,
            "hash_algorithm_oid": SHA256,
            "sign_algorithm_oid": SHA256_ECDSA,
            **changes,
        }
        status, answer = await self.call("POST", "signatures", {"items": [item]}, service=GATEWAY)
        assert status == 200, answer
        (result,) = answer
        return result

    async def profile_of_first(self):
        return (await self.call("GET", "certificate-authorities"))[1]["items"][0]["id"]

    async def told(self, kind=None):
        """Every event put to the outbox, in order."""
        table = METADATA.tables["outbox"]
        async with self.engine.connect() as connection:
            rows = [row._asdict() for row in await connection.execute(select(table).order_by(table.c.id))]
        events = [TYPES[row["type"]].model_validate_json(row["body"]) for row in rows]
        return [event for event in events if kind is None or isinstance(event, kind)]

    async def everything(self):
        """All that is stored, as bytes to search in."""
        stored = []
        async with self.engine.connect() as connection:
            for table in METADATA.tables.values():
                stored += [str(row._asdict()).encode() for row in await connection.execute(select(table))]
        return b"\n".join(stored)


@pytest.fixture
async def database(fresh_database):
    await migrate(fresh_database, "ca_connector")
    engine = open_engine(fresh_database)
    yield engine
    await engine.dispose()


@pytest.fixture
def clock():
    return MovedClock()


@pytest.fixture
def service_keys(tmp_path):
    """Private keys by service; `service_keys.json` beside them holds the public ones."""
    plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    made = {
        name: Ed25519PrivateKey.generate().private_bytes(*plain).decode()
        for name in (REGISTRY, GATEWAY, "notifier", "ca-connector")
    }
    public = [OKPKey.import_key(pem, {"kid": name}).as_dict(private=False) for name, pem in made.items()]
    (tmp_path / "service_keys.json").write_text(json.dumps({"keys": public}))
    return made


@pytest.fixture
async def a_connector(database, fresh_database, clock, service_keys, tmp_path, ca):
    """Makes one instance after the other, on the same database; nothing runs in their background."""
    made = []

    async def instance(**changes):
        settings = Settings(
            database_url=fresh_database,
            service_key=service_keys["ca-connector"],
            service_keys=tmp_path / "service_keys.json",
            listen_port=1,
            admin_port=1,
            callback_url="http://127.0.0.1:7400/ca/callback",
            embedded_ca_hosts=f"127.0.0.1:{ca.port}",
            master_key=b64encode(bytes(32)).decode(),
            **{"ca_timeout_s": 2, **changes},
        )
        app = build(settings, clock)
        for step in app.on_start:
            await step()
        transport = httpx2.ASGITransport(app.routes, raise_app_exceptions=False)
        client = httpx2.AsyncClient(transport=transport, base_url="http://ca-connector", timeout=60)
        made.append((app, client))
        issuers = {name: TokenIssuer(name, pem, clock) for name, pem in service_keys.items()}
        return Connector(client, issuers, database, ca, clock, app.background, app.routes)

    yield instance
    for app, client in made:
        await client.aclose()
        for step in reversed(app.on_stop):
            await step()


@pytest.fixture
async def connector(a_connector):
    return await a_connector()


@pytest.fixture
def hear_told(connector, database, clock):
    """Hands a certificate's news straight to the handler, without the bus."""
    handlers = []
    bus = SimpleNamespace(hears=lambda *_types, **_how: handlers.append)
    sealer = Sealer(b64encode(bytes(32)).decode())
    hear(bus, SimpleNamespace(sessions=sessions_of(database), clock=clock, sealer=sealer))
    return handlers[0]
