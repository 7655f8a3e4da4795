"""The authority that issues client certificates: its key, what it signs, and the PKCS#12 file of a key made for a contact.

All validity here is the host's time, since that is the only one OpenSSL knows (RFC 5280 profiles; RFC 7292 for the file).
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
    pkcs7,
    pkcs12,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT_VALID_FOR = timedelta(days=730)
CA_VALID_FOR = timedelta(days=3650)
CRL_VALID_FOR = timedelta(days=7)
SET_BACK = timedelta(minutes=5)
"""A certificate is valid from a little before it is made, for hosts whose clocks are behind; it works at once."""
FILE_KDF_ROUNDS = 600_000
MAX_NAME = 64  # X.520's bound of a common name and of an organisation
_PASSWORD_SIGNS = "abcdefghjkmnpqrstuvwxyz23456789"  # noqa: S105 - no sign that looks like another
PublicKey = RSAPublicKey | ec.EllipticCurvePublicKey


class ClientCaUnusable(ValueError):
    """Key, password and certificate of the authority do not go together."""


@dataclass(frozen=True)
class ClientCaFiles:
    """A new authority: key (encrypted PKCS#8 PEM), its password, and its certificate (PEM)."""

    key: bytes
    password: bytes
    certificate: bytes


@dataclass(frozen=True)
class Withdrawn:
    """One entry of the list of withdrawn certificates. `lost`: its holder said so."""

    serial_number: int
    at: datetime  # the host's time
    lost: bool


class ClientCa:
    """One issuing authority. `chain` begins with its own certificate."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, chain: list[x509.Certificate]) -> None:
        self._key, self.chain = key, chain

    @classmethod
    def load(cls, key_pem: str, password: str, chain_pem: bytes) -> "ClientCa":
        """From what `new_client_ca` made, or another issuer's with a key on P-256. Raises ClientCaUnusable."""
        try:
            key = load_pem_private_key(key_pem.encode(), password.encode())
            chain = x509.load_pem_x509_certificates(chain_pem)
        except (ValueError, TypeError):
            raise ClientCaUnusable("client_ca_key, client_ca_password and CLIENT_CA_FILE do not open, or hold nothing") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            kind = key.curve.name if isinstance(key, ec.EllipticCurvePrivateKey) else "no elliptic curve"
            raise ClientCaUnusable(f"client_ca_key is on {kind}: the key of the client CA must be on P-256")
        if key.public_key() != chain[0].public_key():
            raise ClientCaUnusable("client_ca_key is not the key of the first certificate in CLIENT_CA_FILE")
        return cls(key, chain)

    def issue(self, key: PublicKey, *, client_name: str, organisation: str, service_id: UUID, now: datetime) -> x509.Certificate:
        """A certificate for TLS clients, valid for two years but never beyond the authority's own end.

        Its subject says what the platform knows; the names in a request are only claims.
        """
        end = min(now + CLIENT_VALID_FOR, self.chain[0].not_valid_after_utc)
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, _cut(client_name)),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, _cut(organisation)),
            ]
        )
        service = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(service_id.urn)])
        builder = (
            _certificate(subject, self.chain[0].subject, key, now - SET_BACK, end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(service, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(self._authority(), critical=False)
        )
        return builder.sign(self._key, SHA256())

    def crl(self, withdrawn: Iterable[Withdrawn], *, number: int, now: datetime) -> bytes:
        """The list of withdrawn certificates (RFC 5280 §5), DER."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.chain[0].subject)
            .last_update(now - SET_BACK)
            .next_update(now + CRL_VALID_FOR)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(self._authority(), critical=False)
        )
        for one in withdrawn:
            entry = x509.RevokedCertificateBuilder().serial_number(one.serial_number).revocation_date(one.at)
            if one.lost:
                entry = entry.add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self._key, SHA256()).public_bytes(Encoding.DER)

    def _authority(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
            self.chain[0].extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        )


def new_client_ca(name: str, now: datetime) -> ClientCaFiles:
    """A new authority on P-256, self-signed, good for ten years."""
    key, password = ec.generate_private_key(ec.SECP256R1()), secrets.token_urlsafe(32).encode()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        _certificate(subject, subject, key.public_key(), now - SET_BACK, now + CA_VALID_FOR)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
    return ClientCaFiles(sealed, password, certificate.public_bytes(Encoding.PEM))


def new_client_key() -> ec.EllipticCurvePrivateKey:
    """The key of a contact who has none: on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def new_file_password() -> str:
    """Twenty signs that a person types from a phone, in groups of five: 99 bits."""
    groups = ["".join(secrets.choice(_PASSWORD_SIGNS) for _ in range(5)) for _ in range(4)]
    return "-".join(groups)


def pkcs12_of(
    name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, chain: list[x509.Certificate], password: str
) -> bytes:
    """Key, certificate and chain in one encrypted file: AES-256, PBKDF2 with SHA-256 of 600 000 rounds, HMAC-SHA-256."""
    encryption = (
        PrivateFormat.PKCS12.encryption_builder()
        .kdf_rounds(FILE_KDF_ROUNDS)
        .key_cert_algorithm(pkcs12.PBES.PBESv2SHA256AndAES256CBC)
        .hmac_hash(SHA256())
        .build(password.encode())
    )
    return pkcs12.serialize_key_and_certificates(name.encode(), key, certificate, chain, encryption)


def p7b_of(certificates: list[x509.Certificate]) -> bytes:
    """Certificates alone as PKCS#7 (RFC 2315), DER."""
    return pkcs7.serialize_certificates(certificates, Encoding.DER)


def pem_of(certificates: list[x509.Certificate]) -> str:
    """Certificates one after the other, PEM."""
    return "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates)


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: PublicKey, valid_from: datetime, valid_until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid_from)
        .not_valid_after(valid_until)
    )


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _cut(name: str) -> str:
    """What of a name fits into a certificate: the library counts bytes where X.520 counts characters."""
    return name.encode()[:MAX_NAME].decode(errors="ignore")
