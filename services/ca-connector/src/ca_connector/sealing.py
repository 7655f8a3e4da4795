"""Secrets at rest: AES-256-GCM under a data key per record, which the master key wraps (ADR 11).

Associated data binds a ciphertext to its table, row, epoch and key version, so that none opens in another's place.
"""

import os
from base64 import b64decode
from binascii import Error

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_VERSION = 1
NONCE, KEY, TAG = 12, 32, 16
WRAPPED = NONCE + KEY + TAG


class SealBroken(Exception):
    """A ciphertext does not open: it was changed, stands in another's place, or the master key is another."""


class Sealer:
    """Seals and opens with one master key of 32 bytes, given in base64. Raises ValueError for any other."""

    def __init__(self, master_key: str) -> None:
        try:
            key = b64decode(master_key, validate=True)
        except Error:
            raise ValueError("master_key is not base64") from None
        if len(key) != KEY:
            raise ValueError(f"master_key has {len(key)} bytes; it needs {KEY}")
        self._master = AESGCM(key)

    def seal(self, plain: bytes, *place: object) -> bytes:
        """Key version, wrapped data key, nonce, ciphertext. `place` is the table, the row's id and what else it is bound to."""
        bound, key = _bound(KEY_VERSION, place), AESGCM.generate_key(256)
        wrap_nonce, nonce = os.urandom(NONCE), os.urandom(NONCE)
        wrapped = wrap_nonce + self._master.encrypt(wrap_nonce, key, bound)
        return bytes([KEY_VERSION]) + wrapped + nonce + AESGCM(key).encrypt(nonce, plain, bound)

    def open(self, sealed: bytes, *place: object) -> bytes:
        """What was sealed at this place. Raises SealBroken."""
        bound, rest = _bound(sealed[0] if sealed else 0, place), sealed[1:]
        try:
            key = self._master.decrypt(rest[:NONCE], rest[NONCE:WRAPPED], bound)
            nonce = rest[WRAPPED : WRAPPED + NONCE]
            return AESGCM(key).decrypt(nonce, rest[WRAPPED + NONCE :], bound)
        except (InvalidTag, ValueError):
            raise SealBroken(f"a sealed value of {place[0]} does not open") from None


def _bound(key_version: int, place: tuple[object, ...]) -> bytes:
    return "|".join([*map(str, place), str(key_version)]).encode()
