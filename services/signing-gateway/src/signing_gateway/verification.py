"""Whether signatures that came back were made by the certificate's own key, over exactly the hashes that were sent."""

import binascii
from collections.abc import Sequence
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.x509 import load_der_x509_certificate

from signing_gateway.algorithms import SHA256, SHA384, SHA512

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
DIGESTS: dict[str, hashes.HashAlgorithm] = {SHA256: hashes.SHA256(), SHA384: hashes.SHA384(), SHA512: hashes.SHA512()}


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
    return all(_verifies(key, hash_oid, digest, signature) for digest, signature in zip(digests, signatures, strict=True))


def _verifies(key: PublicKey, hash_oid: str, digest: bytes, signature: str) -> bool:
    prehashed = Prehashed(DIGESTS[hash_oid])
    try:
        value = binascii.a2b_base64(signature, strict_mode=True)
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(value, digest, padding.PKCS1v15(), prehashed)
        else:
            key.verify(value, digest, ec.ECDSA(prehashed))
    except (InvalidSignature, ValueError):  # binascii.Error is a ValueError
        return False
    return True
