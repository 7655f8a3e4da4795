"""Certificates, client services and grants in any number, put where the real services look: their tables and the state topics."""

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.bench.bench import Platform
from tests.bench.material import Material

from contracts import AccessGrant, Account, Certificate, ClientService, Told
from contracts.ca_connector import NewCertificateAuthority
from contracts.registry import TrustedClientCertificate
from hosting.clock import utc_now
from hosting.database import open_engine

SECRET = "a client secret"
LIMIT = 1_000_000_000
LIFETIME = timedelta(days=60)
MULTISIGN = 100


@dataclass(frozen=True)
class Member:
    """One client service with its own certificate and grant; `number` modulo the keys is its key."""

    number: int
    service_id: UUID
    certificate_id: UUID
    pem: Path | None  # its TLS certificate with the key

    @property
    def client_id(self) -> str:
        """What it logs in with."""
        return f"erp-{self.number}"


class Issuer:
    """An X.509 issuer with a P-256 key."""

    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self.name, self.key.public_key(), x509.BasicConstraints(ca=True, path_length=0))

    def issue(self, name: str, key: Any, *more: x509.ExtensionType) -> x509.Certificate:
        """An end entity's certificate."""
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        return self._sign(subject, key, x509.BasicConstraints(ca=False, path_length=None), *more)

    def _sign(
        self, subject: x509.Name, key: Any, constraints: x509.BasicConstraints, *more: x509.ExtensionType
    ) -> x509.Certificate:
        now = utc_now()
        built = x509.CertificateBuilder(
            self.name, subject, key, x509.random_serial_number(), now - timedelta(days=1), now + timedelta(days=365)
        ).add_extension(constraints, critical=True)
        for extension in more:
            built = built.add_extension(extension, critical=False)
        return built.sign(self.key, hashes.SHA256())


def pem(path: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Path:
    """Certificate and key in one file."""
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.touch(mode=0o600)
    path.write_bytes(certificate.public_bytes(Encoding.PEM) + secret)
    return path


class Population:
    """`count` members over the keys of `material`; with `tls` each has a TLS certificate of its own in that folder."""

    def __init__(self, material: Material, count: int, stub: str, tls: Path | None = None) -> None:
        self._stub, self._material = stub, material
        self.now = utc_now().replace(microsecond=0)
        self.account_id, self.authority_id = uuid4(), uuid4()
        self.clients = Issuer("client certificates")
        self._fingerprints: dict[int, str] = {}
        self._tls_key = ec.generate_private_key(ec.SECP256R1())  # one key under many certificates: only the certificates tell
        self.members = [
            Member(number, uuid4(), UUID(f"{uuid4().hex[:20]}{number:012d}"), self._tls(number, tls)) for number in range(count)
        ]
        self._chains = self._certified()

    def _tls(self, number: int, folder: Path | None) -> Path | None:
        if folder is None:
            return None
        usage = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH])
        certificate = self.clients.issue(f"erp-{number}", self._tls_key.public_key(), usage)
        self._fingerprints[number] = certificate.fingerprint(hashes.SHA256()).hex()
        return pem(folder / f"client-{number}.pem", certificate, self._tls_key)

    def _certified(self) -> list[list[str]]:
        """Each member's chain, base64 DER: its own certificate and the one issuer."""
        issuer = Issuer("stub certificate authority")
        above = base64.b64encode(issuer.certificate.public_bytes(Encoding.DER)).decode()
        keys: list[rsa.RSAPublicKey] = [
            self._material.private_key(number).public_key() for number in range(len(self._material.keys))
        ]
        made = []
        for member in self.members:
            leaf = issuer.issue(f"Company {member.number}", keys[member.number % len(keys)])
            made.append([base64.b64encode(leaf.public_bytes(Encoding.DER)).decode(), above])
        return made

    def events(self) -> Iterator[Told]:
        """What the state topics say of all this."""
        yield Account(cause="created", account_id=self.account_id, version=1, name="Company", status="active")
        secret = hashlib.sha256(SECRET.encode()).hexdigest()
        for member, chain in zip(self.members, self._chains, strict=True):
            yield self._certificate(member, chain)
            yield AccessGrant(
                cause="opened",
                certificate_id=member.certificate_id,
                version=1,
                epoch=1,
                state="active",
                granted_at=self.now,
                expires_at=self.now + LIFETIME,
                usage_limit=LIMIT,
                used=0,
                forfeited=0,
                draining=False,
            )
            shown = self._fingerprints.get(member.number)
            trusted = [TrustedClientCertificate(sha256=shown, valid_until=self.now + LIFETIME)] if shown else []
            yield ClientService(
                cause="created",
                client_service_id=member.service_id,
                version=1,
                account_id=self.account_id,
                certificate_id=member.certificate_id,
                name=member.client_id,
                client_id=member.client_id,
                secret_sha256=secret,
                status="active",
                reason=None,
                activated_for_epoch=1,
                client_certificates=trusted,
            )

    def _certificate(self, member: Member, chain: list[str]) -> Certificate:
        return Certificate(
            cause="registered",
            certificate_id=member.certificate_id,
            version=1,
            account_id=self.account_id,
            alias=f"Certificate {member.number}",
            certificate_authority_id=self.authority_id,
            certificate_authority_name="Stub",
            credential_id=f"cred-{member.number}",
            status="active",
            subject=f"CN=Company {member.number}",
            issuer="CN=stub certificate authority",
            serial_number="01",
            valid_from=self.now - timedelta(days=1),
            valid_until=self.now + timedelta(days=365),
            key_algorithm="RSA",
            key_bits=2048,
            profile="seal",
            chain=chain,
            multisign=MULTISIGN,
        )

    async def fill_monitor(self, platform: Platform) -> None:
        """An open epoch 1 for every certificate, as if granted just now."""
        from grant_monitor.storage.tables import ACCESS_GRANT, ACCOUNT, CERTIFICATE, GRANT_EPOCH

        await platform.migrate("grant-monitor")
        ends = self.now + LIFETIME
        account = {"account_id": self.account_id, "version": 1, "status": "active", "zone": "Europe/Lisbon", "notice_hour": 9}
        ids = [member.certificate_id for member in self.members]
        grant = {"epoch": 1, "version": 1, "next_due_at": ends - timedelta(days=7), "to_tell": False}
        epoch = {
            "epoch": 1,
            "granted_at": self.now,
            "expires_at": ends,
            "warn_before_s": 604_800,
            "warn_above_bp": 9_000,
            "usage_limit": LIMIT,
            **dict.fromkeys(("settled", "forfeited", "reserved", "counted"), 0),
            "state": "active",
        }
        certificate = {"version": 1, "account_id": self.account_id, "status": "active"}
        await _insert(
            platform.database_url("grant-monitor"),
            (ACCOUNT, [account]),
            *((table, [{"certificate_id": each, **row} for each in ids]) for table, row in (
                (CERTIFICATE, certificate), (ACCESS_GRANT, grant), (GRANT_EPOCH, epoch))),
        )  # fmt: skip

    async def fill_connector(self, platform: Platform) -> None:
        """A profile of the stub, and a good access with sealed tokens for every certificate."""
        from ca_connector.sealing import Sealer
        from ca_connector.storage.tables import ACCESS, AUTHORITY, EPOCH

        await platform.migrate("ca-connector")
        sealer = Sealer((platform.at.state.secrets("ca-connector") / "master_key").read_text().strip())
        profile = NewCertificateAuthority(
            name="Stub", issuer=self._stub, csc_url=f"{self._stub}/csc/v2", client_id="sinete", client_secret="secret"
        )
        sealed = sealer.seal(b"secret", "certificate_authority", self.authority_id)
        authority = profile.model_dump(mode="json", exclude={"client_secret"}) | {
            "id": self.authority_id, "client_secret": sealed, "status": "active", "created_at": self.now
        }  # fmt: skip
        ends = (self.now + LIFETIME).timestamp()
        tokens = json.dumps({"access": "at", "access_ends": ends, "refresh": "rt", "sad": None}).encode()
        of_authority = {"certificate_authority_id": self.authority_id, "epoch": 1}
        access = [
            {
                **of_authority,
                "certificate_id": member.certificate_id,
                "credential_id": f"cred-{member.number}",
                "key_digest": f"{member.number:064x}",
                "multisign": MULTISIGN,
                "state": "good",
                "token_version": 1,
                "tokens": sealer.seal(tokens, "ca_access", member.certificate_id, 1),
            }
            for member in self.members
        ]
        epochs = [
            {**of_authority, "certificate_id": member.certificate_id, "granted_at": self.now, "expires_at": self.now + LIFETIME}
            for member in self.members
        ]
        await _insert(platform.database_url("ca-connector"), (AUTHORITY, [authority]), (ACCESS, access), (EPOCH, epochs))


async def _insert(url: str, *rows: tuple[sa.Table, Sequence[dict[str, Any]]]) -> None:
    engine = open_engine(url, pool_size=1)
    try:
        async with engine.begin() as connection:
            for table, values in rows:
                await connection.execute(sa.insert(table), list(values))
    finally:
        await engine.dispose()


__all__ = ["SECRET", "Issuer", "Member", "Population", "pem"]
