"""A throw-away X.509 authority for this machine: TLS certificates of servers and of clients, and its revocation list."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import IPv4Address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hosting.clock import host_utc

TEN_YEARS = timedelta(days=3650)
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


def named(common_name: str) -> x509.Name:
    """A name of one part."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key, PKCS#8, not encrypted."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def sha256(self) -> str:
        """The certificate's fingerprint, hexadecimal."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()


@dataclass
class Authority:
    """An authority with a P-256 key. Times are the host's, which is the clock that OpenSSL reads."""

    name: str = "Sinete sandbox authority"
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.certificate = self._signed(named(self.name), self.key.public_key(), TEN_YEARS, authority=True)

    @property
    def pem(self) -> bytes:
        """The authority's own certificate."""
        return self.certificate.public_bytes(Encoding.PEM)

    def issue(
        self, name: str, usage: x509.ObjectIdentifier = CLIENT, lasting: timedelta = TEN_YEARS, hosts: bool = False
    ) -> Issued:
        """A new key and its certificate; a negative `lasting` makes one that is over. `hosts`: for this machine's names."""
        key = ec.generate_private_key(ec.SECP256R1())
        return Issued(self._signed(named(name), key.public_key(), lasting, usage=usage, hosts=hosts), key)

    def revocation_list(self, revoked: Iterable[Issued] = (), lasting: timedelta = TEN_YEARS) -> bytes:
        """The list of now, PEM."""
        made = x509.CertificateRevocationListBuilder(self.certificate.subject, host_utc(), host_utc() + lasting)
        for each in revoked:
            made = made.add_revoked_certificate(
                x509.RevokedCertificateBuilder(each.certificate.serial_number, host_utc()).build()
            )
        return made.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        lasting: timedelta,
        *,
        usage: x509.ObjectIdentifier | None = None,
        hosts: bool = False,
        authority: bool = False,
    ) -> x509.Certificate:
        begins = host_utc() - timedelta(days=1) + min(lasting, timedelta())
        ours = self.key.public_key()
        made = (
            x509.CertificateBuilder(named(self.name), subject, key, x509.random_serial_number(), begins, host_utc() + lasting)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ours), critical=False)
        )
        if usage:
            made = made.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if hosts:
            names = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
            made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return made.sign(self.key, hashes.SHA256())
