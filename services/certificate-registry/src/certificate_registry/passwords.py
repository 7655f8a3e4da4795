"""Operators' passwords: argon2id, compared in threads, a few at a time."""

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

AT_ONCE = 4  # each takes 64 MiB while it runs


class Passwords:
    """Hashes and compares. An unknown operator costs the same time as a known one."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._nobody = self._hasher.hash("a password that nobody has")
        self._room = asyncio.Semaphore(AT_ONCE)

    async def hashed(self, password: str) -> str:
        """The argon2id hash to keep."""
        async with self._room:
            return await asyncio.to_thread(self._hasher.hash, _bytes(password))

    async def holds(self, hashed: str | None, password: str) -> bool:
        """True where the password is the one hashed; None compares with nobody's and is false."""
        async with self._room:
            same = await asyncio.to_thread(self._same, hashed or self._nobody, password)
        return same and hashed is not None

    def _same(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, _bytes(password))
        except (VerificationError, InvalidHashError):
            return False


def _bytes(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
