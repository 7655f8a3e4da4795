"""Whether signatures that came back were made by the certificate's own key, over exactly the hashes that were sent."""

import binascii
from collections.abc import Callable, Sequence
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.x509 import load_der_x509_certificate

from signing_gateway.algorithms import SHA256, SHA384, SHA512

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
PREHASHED = {SHA256: Prehashed(hashes.SHA256()), SHA384: Prehashed(hashes.SHA384()), SHA512: Prehashed(hashes.SHA512())}
PKCS1 = padding.PKCS1v15()
ECDSA = {oid: ec.ECDSA(prehashed) for oid, prehashed in PREHASHED.items()}


@lru_cache(maxsize=10_000)
def public_key(leaf: bytes) -> PublicKey:
    """The key of a DER certificate. Raises ValueError for anything but RSA and EC."""
    key = load_der_x509_certificate(leaf).public_key()
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise ValueError(f"a key of type {type(key).__name__} cannot be used here")  # noqa: TRY004 - the value is at fault
    return key


def all_verify(key: PublicKey, hash_oid: str, digests: Sequence[bytes], signatures: Sequence[str]) -> bool:
    """True when there is one base64 signature per digest, in order, and each verifies under `key`."""
    if len(digests) != len(signatures):
        return False
    verify = _verifying(key, hash_oid)
    try:
        for digest, signature in zip(digests, signatures, strict=True):
            verify(binascii.a2b_base64(signature, strict_mode=True), digest)
    except (InvalidSignature, ValueError):  # binascii.Error is a ValueError
        return False
    return True


def _verifying(key: PublicKey, hash_oid: str) -> Callable[[bytes, bytes], None]:
    """Verifies a signature over a digest. Raises InvalidSignature."""
    if isinstance(key, rsa.RSAPublicKey):
        return lambda signature, digest: key.verify(signature, digest, PKCS1, PREHASHED[hash_oid])
    return lambda signature, digest: key.verify(signature, digest, ECDSA[hash_oid])
