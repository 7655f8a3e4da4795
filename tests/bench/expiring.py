"""How soon a thousand grants that expire at one instant have their client services suspended and refused."""

import asyncio
import datetime as dt
import hashlib
import time
from collections.abc import Awaitable, Callable
from statistics import quantiles
from uuid import UUID, uuid4

import aiohttp
import asyncpg
from tests.bench.bench import Bench, Platform
from tests.bench.figure import Figure

from certificate_registry.storage.tables import AccountRow, CertificateRow, ClientServiceRow
from certificate_registry.storage.told import TellableRow, state_of
from contracts import CaAccessGranted
from hosting import utc_now
from hosting.database import open_engine, sessions_of

GRANTS = 1_000
SECRET = "a client secret"
AT_ONCE = 16
LOOK_S = 0.02
LASTS = dt.timedelta(seconds=20)
"""Long enough for a thousand epochs to be opened and known everywhere."""

Seconds = dict[UUID, float]
"""By client service: from the end of its grant."""


async def figures(bench: Bench) -> list[Figure]:
    """Of each grant the later of two: its service is inactive in the registry, and refused at the gateway; the 99th of 100."""
    async with bench.platform("expiring") as platform:
        rows = _rows()
        services = [row for row in rows if isinstance(row, ClientServiceRow)]
        await _fill(platform, rows)
        processes = [await platform.start(name) for name in ("certificate-registry", "grant-monitor", "signing-gateway")]
        registry = await asyncpg.connect(platform.database_url("certificate-registry"))
        async with aiohttp.ClientSession(platform.at.service("signing-gateway")) as http:
            tokens = await _tokens(http, services)
            end = utc_now() + LASTS
            await platform.tell(_granted(row.id, end) for row in rows if isinstance(row, CertificateRow))
            await _opened(registry)
            if await _refused(http, services[0], tokens[services[0].id]):
                raise RuntimeError("a service is refused before its grant's end")
            begun = time.perf_counter() + (end - utc_now()).total_seconds()
            if begun < time.perf_counter():
                raise RuntimeError(f"the grants ended before all was ready: {LASTS} are too short for this machine")
            await _none_suspended(registry, begun)
            before = {each.name: each.cpu() for each in processes}
            async with asyncio.timeout(120):
                suspended, refused = await asyncio.gather(
                    _suspended(registry, begun), _all_refused(http, services, tokens, begun)
                )
        await registry.close()
        cpu = {each.name: each.cpu() - before[each.name] for each in processes}
    both = {service: max(suspended[service], refused[service]) for service in suspended}
    beside = {
        "suspended in the registry": f"p50 {_percentile(suspended, 50):.2f} s, p99 {_percentile(suspended, 99):.2f} s",
        "refused at the gateway": f"p99 {_percentile(refused, 99):.2f} s, asked sixteen at a time",
        "CPU": ", ".join(f"{name} {seconds:.1f} s" for name, seconds in cpu.items()),
    }
    return [Figure("1 000 grants expiring at once: suspended and refused, p99", _percentile(both, 99), "s", 2, "at most", beside)]


def _rows() -> list[TellableRow]:
    """An account with a thousand certificates, each with an active client service."""
    now, account_id, authority_id = utc_now(), uuid4(), uuid4()
    names = {"name": "Company", "zone": "Europe/Lisbon", "notice_hour": 9, "language": "en"}
    rows: list[TellableRow] = [AccountRow(id=account_id, version=1, status="active", created_at=now, **names)]
    facts = {
        "credential_id": "credential", "subject": "CN=Company", "issuer": "CN=CA", "serial_number": "01",
        "valid_from": now, "valid_until": now + dt.timedelta(days=365), "key_algorithm": "RSA", "key_bits": 2048,
        "profile": "seal", "chain": ["AAAA"], "multisign": 1, "certificate_authority_id": authority_id,
        "certificate_authority_name": "CA",
    }  # fmt: skip
    own = {"secret_sha256": hashlib.sha256(SECRET.encode()).hexdigest(), "status": "active", "activated_for_epoch": 1}
    for n in range(GRANTS):
        certificate = CertificateRow(
            id=uuid4(),
            version=1,
            account_id=account_id,
            alias=f"seal {n}",
            registered_at=now,
            status="active",
            scope_of_use="",
            **facts,
        )
        service = ClientServiceRow(
            id=uuid4(), version=1, account_id=account_id, certificate_id=certificate.id, name="ERP", client_id=f"erp-{n}",
            created_at=now, client_certificates=[], certificate_required=False, jwks=[], **own,
        )  # fmt: skip
        rows += [certificate, service]
    return rows


async def _fill(platform: Platform, rows: list[TellableRow]) -> None:
    """The registry has them, and has told them."""
    await platform.migrate("certificate-registry")
    engine = open_engine(platform.database_url("certificate-registry"))
    async with sessions_of(engine).begin() as session:
        for kind in (AccountRow, CertificateRow, ClientServiceRow):
            session.add_all(row for row in rows if isinstance(row, kind))
            await session.flush()
    await engine.dispose()
    await platform.tell(state_of(row, "created") for row in rows)


def _granted(certificate_id: UUID, end: dt.datetime) -> CaAccessGranted:
    return CaAccessGranted(
        certificate_id=certificate_id,
        epoch=1,
        granted_at=end - dt.timedelta(days=60),
        expires_at=end,
        usage_limit=1_000_000_000,
        warn_before_s=0,
        warn_above_bp=9_000,
    )


async def _each(services: list[ClientServiceRow], work: Callable[[ClientServiceRow], Awaitable[None]]) -> None:
    bound = asyncio.Semaphore(AT_ONCE)

    async def one(service: ClientServiceRow) -> None:
        async with bound:
            await work(service)

    await asyncio.gather(*(one(service) for service in services))


async def _tokens(http: aiohttp.ClientSession, services: list[ClientServiceRow]) -> dict[UUID, str]:
    tokens: dict[UUID, str] = {}

    async def log_in(service: ClientServiceRow) -> None:
        form = {"grant_type": "client_credentials", "client_id": service.client_id, "client_secret": SECRET}
        async with http.post("/oauth2/token", data=form) as answer:
            answer.raise_for_status()
            tokens[service.id] = (await answer.json())["access_token"]

    await _each(services, log_in)
    return tokens


async def _opened(registry: asyncpg.Connection) -> None:
    """Returns when the registry knows every grant, so that its consumer has nothing left to do."""
    async with asyncio.timeout(LASTS.total_seconds()):
        while await registry.fetchval("SELECT count(*) FROM access_grant") < GRANTS:
            await asyncio.sleep(LOOK_S)


async def _refused(http: aiohttp.ClientSession, service: ClientServiceRow, token: str) -> bool:
    """Whether the gateway says that this service's access is over."""
    body = {
        "credentialID": str(service.certificate_id),
        "hashes": ["LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="],
        "hashAlgorithmOID": "2.16.840.1.101.3.4.2.1",
        "signAlgo": "1.2.840.113549.1.1.11",
    }
    headers = {"Authorization": f"Bearer {token}"}
    async with http.post("/csc/v2/signatures/signHash", json=body, headers=headers) as answer:
        return answer.status == 403 and "expired" in (await answer.json())["error_description"]


async def _none_suspended(registry: asyncpg.Connection, begun: float) -> None:
    """Returns at that instant; raises RuntimeError when a service was inactive before it."""
    while time.perf_counter() < begun:
        early = await registry.fetchval("SELECT count(*) FROM client_service WHERE status = 'inactive'")
        if early and time.perf_counter() < begun:
            raise RuntimeError(f"{early} services are suspended before their grants' end")
        await asyncio.sleep(min(LOOK_S, max(begun - time.perf_counter(), 0)))


async def _suspended(registry: asyncpg.Connection, begun: float) -> Seconds:
    """Looks again and again which services are inactive."""
    seen: Seconds = {}
    while len(seen) < GRANTS:
        rows = await registry.fetch("SELECT id FROM client_service WHERE status = 'inactive'")
        now = time.perf_counter()
        for row in rows:
            seen.setdefault(UUID(str(row["id"])), now - begun)
        await asyncio.sleep(LOOK_S)
    return seen


async def _all_refused(
    http: aiohttp.ClientSession, services: list[ClientServiceRow], tokens: dict[UUID, str], begun: float
) -> Seconds:
    """Asks for a signature of each service until it is refused."""
    seen: Seconds = {}

    async def ask(service: ClientServiceRow) -> None:
        while not await _refused(http, service, tokens[service.id]):
            await asyncio.sleep(LOOK_S)
        seen[service.id] = time.perf_counter() - begun

    await _each(services, ask)
    return seen


def _percentile(seconds: Seconds, which: int) -> float:
    return quantiles(seconds.values(), n=100)[which - 1]
