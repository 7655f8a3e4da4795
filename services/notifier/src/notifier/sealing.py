"""Bodies of personal messages at rest: AES-256-GCM under the master key, bound to the message's id."""

import os
from base64 import b64decode
from binascii import Error
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
KEY_BYTES = 32


class Sealer:
    """Seals and opens with one key of 32 bytes, given in base64. Raises ValueError for any other."""

    def __init__(self, master_key: str) -> None:
        try:
            key = b64decode(master_key, validate=True)
        except Error:
            raise ValueError("master_key is not base64") from None
        if len(key) != KEY_BYTES:
            raise ValueError(f"master_key has {len(key)} bytes; it needs {KEY_BYTES}")
        self._cipher = AESGCM(key)

    def seal(self, message_id: UUID, body: bytes) -> bytes:
        """Nonce and ciphertext. They open only under the same id, so two rows cannot be swapped."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, body, _bound_to(message_id))

    def open(self, message_id: UUID, sealed: bytes) -> bytes:
        """The body. Raises cryptography's InvalidTag when it was changed or belongs to another message."""
        return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound_to(message_id))


def _bound_to(message_id: UUID) -> bytes:
    return f"message|{message_id}".encode()
