"""The credentials of the two CAs' people: real keys, real X.509, made at the first start and kept."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.x509.oid import NameOID

from sandbox_ca.issuers import Issuer, Key, certified, pointers, read, write

HASHES: dict[str, hashes.HashAlgorithm] = {
    "2.16.840.1.101.3.4.2.1": hashes.SHA256(),
    "2.16.840.1.101.3.4.2.2": hashes.SHA384(),
    "2.16.840.1.101.3.4.2.3": hashes.SHA512(),
}
RSA, ECDSA = "1.2.840.113549.1.1.1", "1.2.840.10045.2.1"
SIGN_ALGORITHMS: dict[str, str | None] = {
    "1.2.840.113549.1.1.11": "2.16.840.1.101.3.4.2.1",
    "1.2.840.113549.1.1.12": "2.16.840.1.101.3.4.2.2",
    "1.2.840.113549.1.1.13": "2.16.840.1.101.3.4.2.3",
    RSA: None,
    "1.2.840.10045.4.3.2": "2.16.840.1.101.3.4.2.1",
    "1.2.840.10045.4.3.3": "2.16.840.1.101.3.4.2.2",
    "1.2.840.10045.4.3.4": "2.16.840.1.101.3.4.2.3",
}
"""What a signAlgo says of the hash; None: hashAlgorithmOID says it."""
ORGANIZATION_IDENTIFIER = x509.ObjectIdentifier("2.5.4.97")
YEARS = 3
Owner = Literal["demo", "other"]


@dataclass(frozen=True)
class Planned:
    """A credential that each first start makes."""

    id: str
    ca: str
    kind: Literal["RSA", "EC"]
    profile: Literal["seal", "signature"]
    owner: Owner = "demo"
    enabled: bool = True


PLAN: Sequence[Planned] = (
    Planned("A-SEAL-1", "a", "RSA", "seal"),
    Planned("A-SEAL-2", "a", "RSA", "seal"),
    Planned("A-SEAL-3", "a", "RSA", "seal"),
    Planned("A-SIGN-1", "a", "EC", "signature"),
    Planned("A-SEAL-OFF", "a", "RSA", "seal", enabled=False),
    Planned("A-OTHER-1", "a", "RSA", "seal", owner="other"),
    Planned("B-SEAL-1", "b", "RSA", "seal"),
    Planned("B-SEAL-2", "b", "RSA", "seal"),
    Planned("B-SIGN-1", "b", "EC", "signature"),
    Planned("B-OTHER-1", "b", "RSA", "seal", owner="other"),
)


@dataclass(frozen=True)
class Credential:
    """A key with its chain, end entity first."""

    plan: Planned
    key: Key
    chain: tuple[x509.Certificate, ...]

    @property
    def leaf(self) -> x509.Certificate:
        """The end entity's certificate."""
        return self.chain[0]

    @property
    def algorithms(self) -> list[str]:
        """The signAlgo values it takes, the usual first."""
        start = "1.2.840.113549" if self.plan.kind == "RSA" else "1.2.840.10045"
        return [oid for oid in SIGN_ALGORITHMS if oid.startswith(start)]

    @property
    def certificates(self) -> list[str]:
        """The chain in base64 DER."""
        return [base64.b64encode(c.public_bytes(serialization.Encoding.DER)).decode() for c in self.chain]

    def sign(self, digests: Sequence[bytes], hash_oid: str) -> list[bytes]:
        """One signature per digest, in order: PKCS#1 v1.5, or ECDSA in DER."""
        algorithm = Prehashed(HASHES[hash_oid])
        if isinstance(self.key, rsa.RSAPrivateKey):
            return [self.key.sign(digest, padding.PKCS1v15(), algorithm) for digest in digests]
        return [self.key.sign(digest, ec.ECDSA(algorithm)) for digest in digests]


def load_or_make(folder: Path, issuers: Mapping[str, Issuer]) -> dict[str, Credential]:
    """Every planned credential by id, from `folder` or made there."""
    made = {}
    for plan in PLAN:
        file, issuer = folder / f"{plan.id}.pem", issuers[plan.ca]
        if not file.exists():
            write(file, *_certified(plan, issuer))
        key, own = read(file)
        made[plan.id] = Credential(plan, key, (*own, *issuer.chain))
    return made


def _certified(plan: Planned, issuer: Issuer) -> tuple[Key, tuple[x509.Certificate, ...]]:
    key: Key = rsa.generate_private_key(65_537, 2_048) if plan.kind == "RSA" else ec.generate_private_key(ec.SECP256R1())
    parts = [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "PT"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Exemplo, Lda" if plan.owner == "demo" else "Outra, SA"),
        x509.NameAttribute(ORGANIZATION_IDENTIFIER, "VATPT-500000000" if plan.owner == "demo" else "VATPT-500000001"),
    ]
    if plan.profile == "signature":
        parts += [x509.NameAttribute(NameOID.GIVEN_NAME, "Maria"), x509.NameAttribute(NameOID.SURNAME, "Silva")]
    parts.append(x509.NameAttribute(NameOID.COMMON_NAME, f"Sandbox {plan.profile} {plan.id}"))
    subject, found = x509.Name(parts), pointers(issuer.places)
    own = certified(subject, issuer.certificate.subject, key.public_key(), issuer.key, years=YEARS, extensions=found)
    return key, (own,)
