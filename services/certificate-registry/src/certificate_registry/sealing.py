"""What the registry keeps sealed: client certificates' files until they are fetched, and messages until they are handed on.

AES-256-GCM under keys derived from the registry's own service key (HKDF, RFC 5869), bound to kind and id, so that no two rows can
be swapped. All of it lives for minutes, so a replaced service key costs at most a repeated order.
"""

import hmac
import os
from hashlib import sha256
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12


class Sealer:
    """Seals and opens, and makes digests of short secrets that only a holder of the key can compare."""

    def __init__(self, secret: bytes) -> None:
        self._cipher = AESGCM(_derived(secret, b"sealed at rest"))
        self._digests = _derived(secret, b"one-time passwords")

    def seal(self, kind: str, record_id: UUID, content: bytes) -> bytes:
        """Nonce and ciphertext."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, _bound_to(kind, record_id))

    def open(self, kind: str, record_id: UUID, sealed: bytes) -> bytes:
        """The content. Raises cryptography's InvalidTag when it was changed or belongs to another record."""
        return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound_to(kind, record_id))

    def digest(self, record_id: UUID, short_secret: str) -> str:
        """Keyed, since six digits behind a plain digest would be found by trying them all."""
        return hmac.new(self._digests, record_id.bytes + short_secret.encode("utf-8", "surrogatepass"), sha256).hexdigest()


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"certificate-registry|" + purpose).derive(secret)


def _bound_to(kind: str, record_id: UUID) -> bytes:
    return f"{kind}|{record_id}".encode()
