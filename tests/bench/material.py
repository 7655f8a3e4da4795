"""Keys, digests and signatures made beforehand, so that what is measured verifies real RSA-2048 signatures it has not to make."""

import base64
import hashlib
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_der_private_key

KEYS = 20
DIGESTS = 60  # of each key


class Material(msgspec.Struct):
    """What stub, floor and load share through a file: `signatures[k][d]` is that of `digests[d]` under key `k`; all base64."""

    keys: list[bytes]  # PKCS#8 DER, of throw-away keys
    digests: list[str]
    signatures: list[list[str]]

    def private_key(self, number: int) -> rsa.RSAPrivateKey:
        """One of the keys."""
        key = load_der_private_key(self.keys[number], None, unsafe_skip_rsa_key_validation=True)
        assert isinstance(key, rsa.RSAPrivateKey)
        return key

    def write(self, path: Path) -> None:
        """For the other processes."""
        path.write_bytes(msgspec.msgpack.encode(self))

    @classmethod
    def read(cls, path: Path) -> "Material":
        """What `write` wrote."""
        return msgspec.msgpack.decode(path.read_bytes(), type=cls)


def made() -> Material:
    """New material; takes some seconds."""
    keys = [rsa.generate_private_key(65537, 2048) for _ in range(KEYS)]
    digests = [hashlib.sha256(f"document {number}".encode()).digest() for number in range(DIGESTS)]
    signatures = [[signature(key, digest) for digest in digests] for key in keys]
    der = [key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()) for key in keys]
    return Material(der, [base64.b64encode(digest).decode() for digest in digests], signatures)


def signature(key: rsa.RSAPrivateKey, digest: bytes) -> str:
    """PKCS #1 v1.5 over a SHA-256 digest, base64."""
    return base64.b64encode(key.sign(digest, padding.PKCS1v15(), Prehashed(hashes.SHA256()))).decode()
