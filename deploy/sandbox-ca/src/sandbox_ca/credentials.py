"""The two CAs' chains and their people's credentials: real keys, real X.509, made at the first start and kept."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.x509.oid import NameOID

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
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
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


def load_or_make(folder: Path) -> dict[str, Credential]:
    """Every planned credential by id, from `folder` or made there."""
    folder.mkdir(parents=True, exist_ok=True)
    issuers = {ca: _issuer(folder, ca) for ca in ("a", "b")}
    made = {}
    for plan in PLAN:
        file = folder / f"{plan.id}.pem"
        if not file.exists():
            _write(file, *_certified(plan, issuers[plan.ca]))
        key, own = _read(file)
        made[plan.id] = Credential(plan, key, (*own, *issuers[plan.ca][1]))
    return made


def _issuer(folder: Path, ca: str) -> tuple[Key, tuple[x509.Certificate, ...]]:
    """The issuing CA's key and its chain up to the root."""
    file = folder / f"issuing-{ca}.pem"
    if not file.exists():
        root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        root_name, name = _name(f"Sandbox Root CA {ca.upper()}"), _name(f"Sandbox Issuing CA {ca.upper()}")
        root = _certificate(root_name, root_name, root_key.public_key(), root_key, years=10, ca_depth=1)
        own = _certificate(name, root_name, key.public_key(), root_key, years=8, ca_depth=0)
        _write(file, key, (own, root))
    return _read(file)


def _certified(plan: Planned, issuer: tuple[Key, tuple[x509.Certificate, ...]]) -> tuple[Key, tuple[x509.Certificate, ...]]:
    key: Key = rsa.generate_private_key(65_537, 2_048) if plan.kind == "RSA" else ec.generate_private_key(ec.SECP256R1())
    parts = [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "PT"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Exemplo, Lda" if plan.owner == "demo" else "Outra, SA"),
        x509.NameAttribute(ORGANIZATION_IDENTIFIER, "VATPT-500000000" if plan.owner == "demo" else "VATPT-500000001"),
    ]
    if plan.profile == "signature":
        parts += [x509.NameAttribute(NameOID.GIVEN_NAME, "Maria"), x509.NameAttribute(NameOID.SURNAME, "Silva")]
    parts.append(x509.NameAttribute(NameOID.COMMON_NAME, f"Sandbox {plan.profile} {plan.id}"))
    issuing_key, chain = issuer
    return key, (_certificate(x509.Name(parts), chain[0].subject, key.public_key(), issuing_key, years=YEARS),)


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "PT"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Sandbox, throw-away keys"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    signer: Key,
    *,
    years: int,
    ca_depth: int | None = None,
) -> x509.Certificate:
    host_now = datetime.now(UTC)  # noqa: TID251 - X.509 validity is the host's: OpenSSL knows no other clock
    usage = dict.fromkeys(("digital_signature", "key_encipherment", "data_encipherment", "key_agreement"), False)
    is_ca = ca_depth is not None
    builder = (
        x509.CertificateBuilder(
            subject_name=subject, issuer_name=issuer, public_key=public, serial_number=x509.random_serial_number()
        )
        .not_valid_before(host_now - timedelta(days=1))
        .not_valid_after(host_now + timedelta(days=365 * years))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=ca_depth), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(
                **usage,
                content_commitment=not is_ca,
                key_cert_sign=is_ca,
                crl_sign=is_ca,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
    )
    return builder.sign(signer, hashes.SHA256())


def _write(file: Path, key: Key, chain: Sequence[x509.Certificate]) -> None:
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, pkcs8, plain)
    text += b"".join(c.public_bytes(serialization.Encoding.PEM) for c in chain)
    half = file.with_suffix(".half")
    half.touch(mode=0o600)
    half.write_bytes(text)
    half.replace(file)


def _read(file: Path) -> tuple[Key, tuple[x509.Certificate, ...]]:
    text = file.read_bytes()
    key = serialization.load_pem_private_key(text, None)
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    return key, tuple(x509.load_pem_x509_certificates(text))
