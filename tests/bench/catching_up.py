"""How long a gateway takes from its start until it knows a hundred thousand of everything, and how much memory that is."""

import base64
import datetime as dt
import sys
import time
from collections.abc import Iterator
from random import Random
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.bench.bench import Bench
from tests.bench.figure import Figure

from contracts import AccessGrant, Account, Certificate, ClientService, Told, TrustedClientCertificate
from contracts.examples import EXAMPLES

COUNT = 100_000
ACCOUNTS = 1_000


async def figures(bench: Bench) -> list[Figure]:
    """Seconds from the start of the process to its readiness, and its resident memory then."""
    async with bench.platform("catching-up") as platform:
        await platform.migrate("signing-gateway")
        await platform.tell(_states())
        begun = time.perf_counter()
        gateway = platform.run("signing-gateway", [sys.executable, "-m", "signing_gateway"], platform.settings("signing-gateway"))
        await platform.ready(gateway, platform.at.admin("signing-gateway") + "/readyz")
        took, memory = time.perf_counter() - begun, gateway.memory()
        beside = {"CPU": f"{gateway.cpu():.1f} s"}
    return [
        Figure("gateway start with 100 000 services, grants and certificates: caught up", took, "s", 8, "at most", beside),
        Figure("gateway's resident memory with them", memory, "MB", 400, "at most"),
    ]


def _states() -> Iterator[Told]:
    """What the registry and the monitor would have told: certificates of two issuers, whose chains are the same.

    Each client service has a secret and a TLS client certificate of its own.
    """
    begins = dt.datetime(2028, 1, 1, tzinfo=dt.UTC)
    account, certificate, service, grant = (
        next(event for event in EXAMPLES if isinstance(event, kind))
        for kind in (Account, Certificate, ClientService, AccessGrant)
    )
    issuers = [[_encoded(_certificate(name)) for name in (f"Issuing CA {n}", f"Root CA {n}")] for n in (1, 2)]
    leaf = _certificate("A Company, Lda.")
    for n in range(ACCOUNTS):
        yield account.model_copy(update={"account_id": _id(2, n), "status": "active"})
    for n in range(COUNT):
        ids = {"certificate_id": _id(1, n), "account_id": _id(2, n % ACCOUNTS)}
        chain = [_encoded(_another(leaf, n)), *issuers[n % 2]]
        names = {"alias": f"seal {n}", "credential_id": f"credential-{n}", "subject": f"CN=Company {n},O=Company {n}\\, Lda,C=PT"}
        yield certificate.model_copy(update={**ids, **names, "serial_number": Random(n).randbytes(16).hex(), "chain": chain})
        own = {"client_service_id": _id(3, n), "client_id": f"client-{n}", "secret_sha256": f"{n:064x}", "status": "active"}
        trusted = [TrustedClientCertificate(sha256=Random(n).randbytes(32).hex(), valid_until=begins + dt.timedelta(seconds=n))]
        yield service.model_copy(
            update={**ids, **own, "reason": None, "activated_for_epoch": 1, "client_certificates": trusted, "jwks": []}
        )
        yield grant.model_copy(update={"certificate_id": _id(1, n), "state": "active", "expired_reason": None})


def _example(kind: type[Told]) -> Told:
    return next(event for event in EXAMPLES if isinstance(event, kind))


def _id(kind: int, n: int) -> UUID:
    return UUID(f"0000000{kind}-0000-7000-8000-{n:012x}")


def _encoded(der: bytes) -> str:
    return base64.b64encode(der).decode()


def _certificate(name: str) -> bytes:
    """A real one, of RSA-2048."""
    key = rsa.generate_private_key(65_537, 2_048)
    names = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name), x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "PT")])
    begins = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    made = (
        x509.CertificateBuilder(names, names, key.public_key(), x509.random_serial_number(), begins, begins + dt.timedelta(900))
        .add_extension(x509.KeyUsage(True, True, *[False] * 7), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.CRLDistributionPoints([_list_at("http://crl.sinete.example/issuing.crl")]), critical=False)
    )
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _list_at(url: str) -> x509.DistributionPoint:
    return x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)


def _another(leaf: bytes, n: int) -> bytes:
    """As long as `leaf`, with a signature of its own: a gateway reads a certificate only when it is first signed with."""
    return leaf[:-256] + Random(n).randbytes(256)
