"""The two CAs' own keys and certificates, made at the first start and kept, and the X.509 certificates they issue."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Places:
    """Where one CA publishes what its certificates point to: `{url}/{ca}/…`."""

    url: str
    ca: str

    @property
    def ocsp(self) -> str:
        """Answers OCSP requests (RFC 6960)."""
        return f"{self.url}/{self.ca}/ocsp"

    def crl(self, issuer: str) -> str:
        """The revocation list of `root` or `issuing` (RFC 5280)."""
        return f"{self.url}/{self.ca}/{issuer}.crl"

    @property
    def certificate(self) -> str:
        """The issuing CA's certificate in DER."""
        return f"{self.url}/{self.ca}/issuing.cer"


@dataclass(frozen=True)
class Issuer:
    """One CA: a root, the issuing CA under it, and the key that its timestamp authority signs with."""

    places: Places
    root_key: Key | None
    """None in a state folder from before roots kept theirs: such a CA has no list of its root."""
    root: x509.Certificate
    key: Key
    certificate: x509.Certificate
    timestamp_key: rsa.RSAPrivateKey
    timestamp_certificate: x509.Certificate

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """The issuing CA's certificate and its root's."""
        return self.certificate, self.root


def load_issuer(folder: Path, places: Places) -> Issuer:
    """The CA from `folder`, or made there."""
    folder.mkdir(parents=True, exist_ok=True)
    root_file, file, stamping = (folder / f"{what}-{places.ca}.pem" for what in ("root", "issuing", "timestamps"))
    if not file.exists():
        root_key, new_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        root_name, name = (_name(f"Sandbox {rank} CA {places.ca.upper()}") for rank in ("Root", "Issuing"))
        root = certified(root_name, root_name, root_key.public_key(), root_key, years=10, ca_depth=1)
        found = [_revocation_list(places.crl("root"))]
        own = certified(name, root_name, new_key.public_key(), root_key, years=8, ca_depth=0, extensions=found)
        write(root_file, root_key, [root])
        write(file, new_key, [own, root])
    key, (own, root) = read(file)
    if not stamping.exists():
        stamp_key = rsa.generate_private_key(65_537, 2_048)
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])  # alone and critical (RFC 3161 §2.3)
        name = _name(f"Sandbox Timestamp Authority {places.ca.upper()}")
        extensions = [*pointers(places), (purpose, True)]
        write(stamping, stamp_key, [certified(name, own.subject, stamp_key.public_key(), key, years=5, extensions=extensions)])
    timestamp_key, (timestamp_certificate,) = read(stamping)
    assert isinstance(timestamp_key, rsa.RSAPrivateKey)
    kept_root_key = read(root_file)[0] if root_file.exists() else None
    return Issuer(places, kept_root_key, root, key, own, timestamp_key, timestamp_certificate)


def pointers(places: Places) -> list[tuple[x509.ExtensionType, bool]]:
    """What an end entity's certificate says of where its status and its issuer's certificate are, each with its criticality."""
    descriptions = [
        x509.AccessDescription(AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(places.ocsp)),
        x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(places.certificate)),
    ]
    return [(x509.AuthorityInformationAccess(descriptions), False), _revocation_list(places.crl("issuing"))]


def _revocation_list(url: str) -> tuple[x509.ExtensionType, bool]:
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
    return x509.CRLDistributionPoints([point]), False


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "PT"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Sandbox, throw-away keys"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def certified(
    subject: x509.Name,
    issuer: x509.Name,
    public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    signer: Key,
    *,
    years: int,
    ca_depth: int | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> x509.Certificate:
    """A certificate; of an end entity that signs, unless `ca_depth` says how many CAs may follow."""
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
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(signer, hashes.SHA256())


def write(file: Path, key: Key, chain: Sequence[x509.Certificate]) -> None:
    """A key and its certificates in PEM, whole or not at all."""
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    text = key.private_bytes(serialization.Encoding.PEM, pkcs8, plain)
    text += b"".join(c.public_bytes(serialization.Encoding.PEM) for c in chain)
    half = file.with_suffix(".half")
    half.touch(mode=0o600)
    half.write_bytes(text)
    half.replace(file)


def read(file: Path) -> tuple[Key, tuple[x509.Certificate, ...]]:
    """What `write` wrote."""
    text = file.read_bytes()
    key = serialization.load_pem_private_key(text, None)
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    return key, tuple(x509.load_pem_x509_certificates(text))
