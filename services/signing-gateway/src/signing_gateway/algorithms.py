"""The algorithms the gateway signs with: PKCS #1 v1.5 RSA (RFC 8017) and ECDSA (RFC 5758), on SHA-2 digests."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from signing_gateway.refusals import InvalidRequest

KeyAlgorithm = Literal["RSA", "EC"]

SHA256, SHA384, SHA512 = (f"2.16.840.1.101.3.4.2.{n}" for n in (1, 2, 3))
DIGEST_BYTES = {SHA256: 32, SHA384: 48, SHA512: 64}

RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
WITH_RSA = {
    "1.2.840.113549.1.1.11": SHA256,
    "1.2.840.113549.1.1.12": SHA384,
    "1.2.840.113549.1.1.13": SHA512,
}
WITH_ECDSA = {
    "1.2.840.10045.4.3.2": SHA256,
    "1.2.840.10045.4.3.3": SHA384,
    "1.2.840.10045.4.3.4": SHA512,
}
CURVES = {256: "1.2.840.10045.3.1.7", 384: "1.3.132.0.34", 521: "1.3.132.0.35"}
EC_DIGESTS = {256: SHA256, 384: SHA384, 521: SHA512}  # the digest as long as the curve

ANNOUNCED = [*WITH_RSA, RSA_ENCRYPTION, *WITH_ECDSA]


@dataclass(frozen=True, slots=True)
class SigningAlgorithm:
    """A signature algorithm and the digest it takes, both as OIDs."""

    oid: str
    hash_oid: str

    @property
    def digest_bytes(self) -> int:
        """Length of a digest to sign."""
        return DIGEST_BYTES[self.hash_oid]


def offered(key_algorithm: KeyAlgorithm, key_bits: int) -> list[str]:
    """`key.algo` of a credential: the one clients take by default first. rsaEncryption leaves the digest to `hashAlgo`."""
    if key_algorithm == "RSA":
        return [*WITH_RSA, RSA_ENCRYPTION]
    digest = EC_DIGESTS.get(key_bits, SHA256)
    return [oid for oid, hash_oid in WITH_ECDSA.items() if hash_oid == digest]


@lru_cache(maxsize=1_000)
def chosen(sign_algo: str, hash_algo: str | None, *, key_algorithm: KeyAlgorithm, key_bits: int) -> SigningAlgorithm:
    """The algorithm a request asks for. Raises InvalidRequest (CSC v2 §11.10: `hashAlgo` is needed for a bare key algorithm)."""
    if sign_algo not in offered(key_algorithm, key_bits):
        raise InvalidRequest("Invalid parameter signAlgo")
    implied = WITH_RSA.get(sign_algo) or WITH_ECDSA.get(sign_algo)
    if implied is None and hash_algo is None:
        raise InvalidRequest("Missing (or invalid type) string parameter hashAlgorithmOID")
    digest = hash_algo or implied or ""
    if digest not in DIGEST_BYTES or (implied and digest != implied):
        raise InvalidRequest("Invalid parameter hashAlgorithmOID")
    if implied is None:
        sign_algo = next(oid for oid, hash_oid in WITH_RSA.items() if hash_oid == digest)
    return SigningAlgorithm(sign_algo, digest)
