"""A running gateway in front of servers that stand in for its neighbours."""

import asyncio
import base64
import hashlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import uvicorn
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from contracts import Account, Certificate, ClientService, SignatureApplied
from contracts.allowances import AllowanceCall
from contracts.ca_connector import SignCall, SignItem, SignResult
from hosting.address import Allowed
from hosting.calls import InternalCalls
from hosting.database import open_engine, sessions_of
from hosting.service_tokens import TokenIssuer
from hosting.tls import ShowsClientCertificate, TlsPort
from hosting.whole_answers import AnswersWhole
from messaging import NotTold
from signing_gateway.access_refusals import TooManyLoginsFailed
from signing_gateway.access_tokens import AccessTokens
from signing_gateway.asking import Asker
from signing_gateway.client_certificate import Proxies
from signing_gateway.deferring import Deferring
from signing_gateway.documents import DocumentSigner
from signing_gateway.evidence import Evidences
from signing_gateway.outside import Outside
from signing_gateway.pdf_processes import PdfProcesses
from signing_gateway.projections import Known
from signing_gateway.rates import Rates
from signing_gateway.revoked import Revoked
from signing_gateway.routes import Access, Addresses, Documents, Door, FailedLogins, Once, Placing, api
from signing_gateway.signing import Signer
from signing_gateway.storage.activations import Activations
from signing_gateway.storage.deferred import DeferredOrders
from signing_gateway.storage.keyed import KeyedRequests
from signing_gateway.storage.logins import Logins
from signing_gateway.storage.presence import Presence
from signing_gateway.timestamps import TimestampAuthority

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


@dataclass
class Authority:
    """The CA connector and the authority behind it, as a server: real keys, a journal, and mishaps on demand."""

    key: Any
    other_key: Any
    mishap: str = ""
    journal: list[SignItem] = field(default_factory=list)
    before_answer: Callable[[], object] = lambda: None
    delay: float = 0.0

    async def signatures(self, request: web.Request) -> web.Response:
        """`POST /internal/v1/signatures`."""
        call = SignCall.model_validate_json(await request.read())
        await asyncio.sleep(self.delay)
        if self.mishap == "cut":
            assert request.transport
            request.transport.close()
        if self.mishap in {"500", "401"}:
            return web.json_response({"type": "x", "detail": "x"}, status=int(self.mishap))
        results = [self._result(item) for item in call.items]
        self.before_answer()
        lines = "".join(f"{result.model_dump_json()}\n" for result in results)
        return web.Response(text=lines, content_type="application/x-ndjson")

    def _result(self, item: SignItem) -> SignResult:
        if self.mishap == "unknown":
            return SignResult(item_id=item.item_id, outcome="unknown")
        if self.mishap.startswith("refused"):
            return SignResult(item_id=item.item_id, outcome="refused", reason=self.mishap.split()[1], detail="No.")
        self.journal.append(item)
        key = self.other_key if self.mishap == "wrong-key" else self.key
        made = [signature(key, base64.b64decode(value)) for value in item.hashes]
        if self.mishap == "wrong-order":
            made.reverse()
        if self.mishap == "one-less":
            made.pop()
        if self.mishap == "garbage":
            made = ["!" for _ in made]
        item_id = uuid4() if self.mishap == "another-item" else item.item_id
        return SignResult(item_id=item_id, outcome="signed", signatures=made)


def signature(key: Any, digest: bytes) -> str:
    sha256 = Prehashed(hashes.SHA256())
    if isinstance(key, rsa.RSAPrivateKey):
        return base64.b64encode(key.sign(digest, padding.PKCS1v15(), sha256)).decode()
    return base64.b64encode(key.sign(digest, ec.ECDSA(sha256))).decode()


@pytest.fixture(scope="session", name="self_signed")
def self_signing() -> Callable[[Any], str]:
    return self_signed


def self_signed(key: Any) -> str:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Padaria Central")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), NOW, NOW + timedelta(days=730))
    return base64.b64encode(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)).decode()


@dataclass
class Topics:
    """State topics that are as current as a test says."""

    caught_up: bool = True
    age: float = 0.0

    def confirmed_age(self, _at: float | None = None) -> float:
        return self.age


@dataclass
class Telling:
    """A teller whose broker may be away."""

    told: list[SignatureApplied] = field(default_factory=list)
    away: bool = False
    meanwhile: Callable[[], object] = lambda: None

    async def tell(self, event: SignatureApplied, *, at: datetime) -> None:
        await asyncio.sleep(0)
        self.meanwhile()
        if self.away:
            raise NotTold("the broker is away")
        self.told.append(event)


@dataclass
class Bed:
    """A running gateway, its neighbours, and one client service that may sign."""

    known: Known
    topics: Topics
    teller: Telling
    authority: Authority
    ledger: Any
    secret: str
    account: Account
    certificate: Certificate
    service: ClientService
    now: datetime = NOW
    monitor_away: bool = False
    monitor_url: str = ""
    connector_url: str = ""
    url: str = ""
    http: Any = None
    token: str = ""
    asker: Any = None
    tokens: Any = None
    signer: Any = None
    door: Any = None
    revoked: Any = None
    logins: Any = None
    boottime: float = 0.0
    addresses: list[str] = field(default_factory=list)
    token_key: str = ""
    last: Any = None
    processes: Any = None
    timestamp_url: str = ""
    patience_s: float = 1.0  # with its neighbours
    sandbox_host: str = ""
    database_url: str = ""
    presence: Any = None
    deferring: Any = None
    per_minute: int = 12_000
    failed_per_minute: int = 60
    proxies: str = ""

    def told(self, event: Any, **changes: Any) -> None:
        """The bus says that something changed."""
        state = event.model_copy(update={"version": event.version + 1, **changes})
        self.known.apply()[type(event)](state)

    def renewed_token(self) -> str:
        """A token of now."""
        return str(self.tokens.issue(self.known.service_of(self.service.client_id)))

    async def allowances(self, request: web.Request) -> web.Response:
        """`POST /internal/v1/allowances`."""
        if self.monitor_away:
            return web.json_response({}, status=503)
        call = AllowanceCall.model_validate_json(await request.read())
        return web.json_response(text=self.ledger.hear(call).model_dump_json())

    async def post(
        self, path: str, body: Any = None, *, raw: Any = None, token: str | None = None, headers: Any = None
    ) -> tuple[int, Any]:
        """Status and JSON of a POST with the service's token; `last` keeps the headers."""
        headers = {"Authorization": f"Bearer {self.token if token is None else token}", **(headers or {})}
        async with self.http.post(self.url + path, data=raw, json=None if raw is not None else body, headers=headers) as answer:
            self.last = answer.headers
            return answer.status, await answer.json()

    async def sign(self, *digests: bytes, headers: Any = None, **changes: Any) -> tuple[int, Any]:
        """`signHash` as a v2 client sends it."""
        body = {
            "credentialID": str(self.certificate.certificate_id),
            "hashes": [base64.b64encode(digest).decode() for digest in digests],
            "hashAlgorithmOID": "2.16.840.1.101.3.4.2.1",
            "signAlgo": "1.2.840.113549.1.1.11",
        }
        return await self.post("/csc/v2/signatures/signHash", {**body, **changes}, headers=headers)


@pytest.fixture(scope="session")
def keys() -> dict[str, Any]:
    made = {name: rsa.generate_private_key(65537, 2048) for name in ("RSA", "other RSA")}
    return {**made, "EC": ec.generate_private_key(ec.SECP256R1())}


def an_ed25519_pem() -> str:
    container = serialization.PrivateFormat.PKCS8
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(serialization.Encoding.PEM, container, serialization.NoEncryption()).decode()


async def serving(stack: AsyncExitStack, routes: dict[str, Any]) -> str:
    """A real HTTP server with these POST routes; its address."""
    app = web.Application()
    app.add_routes([web.post(path, handler) for path, handler in routes.items()])
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.fixture
def records_url() -> str:
    """The gateway's database. Nobody is there unless a module of tests says otherwise: plain signing needs none."""
    return "postgresql://nobody:x@127.0.0.1:1/none"


@pytest.fixture
async def neighbours(a: Any, keys: dict[str, Any], records_url: str) -> AsyncIterator[Bed]:
    """The grant monitor and the CA connector as servers, and no gateway yet."""
    account_id, certificate_id, secret = uuid4(), uuid4(), "s3cret+/%"
    account = a.account(account_id)
    certificate = a.certificate(certificate_id, account_id, chain=[self_signed(keys["RSA"]), "BBBB"])
    service = a.service(certificate_id, account_id, secret_sha256=hashlib.sha256(secret.encode()).hexdigest())
    bed = Bed(
        known=Known(),
        topics=Topics(),
        teller=Telling(),
        authority=Authority(keys["RSA"], keys["other RSA"]),
        ledger=a.ledger(limit=1000),
        secret=secret,
        account=account,
        certificate=certificate,
        service=service,
        database_url=records_url,
    )
    async with AsyncExitStack() as stack:
        bed.monitor_url = await serving(stack, {"/internal/v1/allowances": bed.allowances})
        bed.connector_url = await serving(stack, {"/internal/v1/signatures": bed.authority.signatures})
        bed.http = await stack.enter_async_context(aiohttp.ClientSession())
        yield bed


@pytest.fixture
async def bed(a: Any, neighbours: Bed) -> AsyncIterator[Bed]:
    """A gateway that may sign, with a bus that does as a test says."""
    bed = neighbours
    for event in (bed.account, bed.certificate, bed.service, a.grant(bed.certificate.certificate_id)):
        bed.known.apply()[type(event)](event)
    async with AsyncExitStack() as stack:
        yield await running(bed, stack)


async def running(bed: Bed, stack: AsyncExitStack) -> Bed:
    """Starts the gateway's own parts."""
    issuer = TokenIssuer("signing-gateway", an_ed25519_pem(), lambda: bed.now)
    monitor = InternalCalls(bed.monitor_url, audience="grant-monitor", issuer=issuer, timeout_s=bed.patience_s)
    connector = InternalCalls(bed.connector_url, audience="ca-connector", issuer=issuer, timeout_s=bed.patience_s)
    bed.asker = Asker(
        await stack.enter_async_context(monitor), bed.known.spendable_epoch, f"gateway-{bed.service.client_service_id}"
    )
    bed.signer = Signer(
        known=bed.known,
        topics=bed.topics,
        asker=bed.asker,
        connector=await stack.enter_async_context(connector),
        teller=bed.teller,
        clock=lambda: bed.now,
    )
    bed.revoked = Revoked(lambda: bed.boottime)
    bed.revoked.confirm(bed.boottime, 0)
    bed.token_key = bed.token_key or an_ed25519_pem()
    bed.tokens = AccessTokens(bed.token_key, "http://gateway.test", lambda: bed.now, bed.revoked)
    bed.token = bed.renewed_token()
    access = Access(bed.known, bed.topics, bed.tokens, Rates(bed.per_minute), lambda: bed.now)
    outside = Outside(Allowed.of(bed.sandbox_host))
    authority = TimestampAuthority(outside, bed.timestamp_url)
    bed.processes = PdfProcesses(1)
    stack.push_async_callback(outside.close)
    stack.push_async_callback(bed.processes.close)
    signer = DocumentSigner(bed.signer, authority, Evidences(outside), bed.processes, lambda: bed.now)
    documents = Documents(signer, authority, max_body=8 * 1024 * 1024, max_documents=20, share=50)
    placing, addresses = records(bed, stack), Addresses("http://gateway.test", bed.addresses)
    failures = Rates(bed.failed_per_minute, "failed-logins", refusal=TooManyLoginsFailed)
    failed = FailedLogins(failures, Proxies(bed.proxies))
    app = api(access, bed.signer, placing, documents, bed.logins, failed_logins=failed, addresses=addresses, max_hashes=100)
    talking = asyncio.create_task(bed.asker.run())
    bed.door = Door(app, proxies=Proxies(bed.proxies), proxy_header="Client-Cert", required=False, plain=True)
    bed.url = await listening(bed.door, stack)

    async def close() -> None:
        await bed.asker.close()
        await asyncio.wait_for(talking, 10)

    stack.push_async_callback(close)
    return bed


def records(bed: Bed, stack: AsyncExitStack) -> Placing:
    """One gateway process's ways to what all of them remember, on the bed's database, and its worker of deferred orders."""
    engine = open_engine(bed.database_url)
    stack.push_async_callback(engine.dispose)
    presence = Presence(engine)
    bed.presence = asyncio.create_task(presence.run())

    async def leave() -> None:
        bed.presence.cancel()
        await asyncio.gather(bed.presence, return_exceptions=True)

    stack.push_async_callback(leave)
    sessions, kept = sessions_of(engine), timedelta(hours=24)
    activations, orders = Activations(sessions), DeferredOrders(sessions, presence)
    once = Once(KeyedRequests(sessions, presence), lambda: bed.now, kept=kept)
    bed.logins = Logins(sessions, bed.revoked, lambda: bed.now)
    bed.deferring = Deferring(orders, bed.signer, lambda: bed.now)
    return Placing(bed.signer, once, activations, orders, lambda: bed.now, kept=kept)


async def listening(app: Any, stack: AsyncExitStack, tls: TlsPort | None = None, port: int = 0) -> str:
    """Serves an ASGI application, by TLS on a free port where `tls` is given; its address."""
    secured: Any = {"ssl_context_factory": lambda _config, _default: tls.context} if tls else {}
    protocol = ShowsClientCertificate if tls else AnswersWhole  # as `hosting.serving` has it
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, http=protocol, **secured))
    server.capture_signals = nullcontext  # type: ignore[assignment,method-assign] # pytest's signals stay its own
    taken = socket.create_server(("127.0.0.1", port))
    serving = asyncio.create_task(server.serve(sockets=[taken]))

    async def stop() -> None:
        server.should_exit = True
        await asyncio.wait_for(serving, 10)

    stack.push_async_callback(stop)
    return f"{'https' if tls else 'http'}://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def pem() -> Callable[[], str]:
    return an_ed25519_pem


@pytest.fixture
def listen() -> Callable[[Any, AsyncExitStack], Any]:
    return listening


@pytest.fixture
def run() -> Callable[[Bed, AsyncExitStack], Any]:
    """Starts a gateway for a bed."""
    return running
