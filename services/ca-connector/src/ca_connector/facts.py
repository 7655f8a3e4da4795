"""What an X.509 certificate says, as `contracts.CertificateFacts` tells it."""

import base64
import binascii

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from contracts.ca_connector import CertificateFacts


class CertificateUnusable(ValueError):
    """The certificate a CA offers cannot be used; the text says why."""


def leaf_of(chain: list[str]) -> x509.Certificate:
    """The end entity's certificate of a base64 DER chain. Raises CertificateUnusable."""
    try:
        return x509.load_der_x509_certificate(base64.b64decode(chain[0], validate=True))
    except (ValueError, binascii.Error, IndexError):
        raise CertificateUnusable("the CA's certificate cannot be read") from None


def key_digest(chain: list[str]) -> str:
    """SHA-256 of the end entity's SubjectPublicKeyInfo, hexadecimal: equal for a re-issued certificate of the same key."""
    encoding, layout = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    digest = hashes.Hash(hashes.SHA256())
    digest.update(leaf_of(chain).public_key().public_bytes(encoding, layout))
    return digest.finalize().hex()


def facts_of(credential_id: str, chain: list[str], multisign: int) -> CertificateFacts:
    """Raises CertificateUnusable for a key that is neither RSA nor on a named curve."""
    leaf = leaf_of(chain)
    try:
        key = leaf.public_key()
    except (UnsupportedAlgorithm, ValueError):
        raise CertificateUnusable("the certificate's key is of an unknown kind") from None
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise CertificateUnusable("the certificate's key is neither RSA nor EC")
    if _is_authority(leaf):
        raise CertificateUnusable("the certificate is a CA's own")
    is_person = any(leaf.subject.get_attributes_for_oid(oid) for oid in (NameOID.GIVEN_NAME, NameOID.SURNAME))
    return CertificateFacts(
        credential_id=credential_id,
        subject=leaf.subject.rfc4514_string(),
        issuer=leaf.issuer.rfc4514_string(),
        serial_number=f"{leaf.serial_number:x}",
        valid_from=leaf.not_valid_before_utc,
        valid_until=leaf.not_valid_after_utc,
        key_algorithm="RSA" if isinstance(key, rsa.RSAPublicKey) else "EC",
        key_bits=key.key_size,
        profile="signature" if is_person else "seal",
        chain=chain,
        multisign=multisign,
    )


def _is_authority(leaf: x509.Certificate) -> bool:
    """Some CAs list their own certificates among the credentials."""
    try:
        return bool(leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except x509.ExtensionNotFound:
        return False
    except ValueError:
        raise CertificateUnusable("the CA's certificate cannot be read") from None
