"""Calls to timestamp authorities and to what certificates point to: guarded, bounded, tried again, since none has an effect."""

import aiohttp
from prometheus_client import Counter

from hosting.address import AddressRefused, Allowed, PublicOnly, checked
from observability import get_logger

log = get_logger(__name__)

CALLS = Counter("outside_calls_total", "Exchanges with timestamp authorities and what certificates point to", ["host", "code"])
ATTEMPTS = 3
TIMEOUT_S = 5.0


class NotReached(Exception):
    """No usable answer came."""


class Outside:
    """One HTTP client for all of them. No redirect is followed, no proxy is taken from the environment."""

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    async def get(self, url: str, *, most: int) -> bytes:
        """The content, at most `most` bytes. Raises NotReached."""
        return await self._tried("GET", url, b"", "", most=most, signed=True)

    async def post(self, url: str, content: bytes, kind: str, *, most: int, signed: bool) -> bytes:
        """The answer's content. `signed`: the answer proves itself, so plain http will do. Raises NotReached."""
        return await self._tried("POST", url, content, kind, most=most, signed=signed)

    async def _tried(self, method: str, url: str, content: bytes, kind: str, *, most: int, signed: bool) -> bytes:
        try:
            checked(url, self._allowed, signed=signed)
        except AddressRefused as refusal:
            log.warning("an address is not called", rule=str(refusal))
            raise NotReached(f"its address is not called: {refusal}") from None
        why = ""
        for _ in range(ATTEMPTS):
            try:
                return await self._exchanged(method, url, content, kind, most)
            except (aiohttp.ClientError, TimeoutError, OSError) as fault:
                why = type(fault).__name__
                CALLS.labels(url.split("/")[2], "no-answer").inc()
            except NotReached as fault:
                why = str(fault)
        log.warning("an authority gave no usable answer", host=url.split("/")[2], reason=why)
        raise NotReached(why)

    async def _exchanged(self, method: str, url: str, content: bytes, kind: str, most: int) -> bytes:
        if self._session is None:
            connector = aiohttp.TCPConnector(resolver=PublicOnly(self._allowed), limit=50, use_dns_cache=False)
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)
        headers = {"Content-Type": kind} if kind else {}
        async with self._session.request(method, url, data=content or None, headers=headers, allow_redirects=False) as answer:
            CALLS.labels(url.split("/")[2], answer.status).inc()
            if answer.status != 200:
                raise NotReached(f"status {answer.status}")
            told = bytearray()
            async for part in answer.content.iter_chunked(64 * 1024):
                told += part
                if len(told) > most:
                    raise NotReached(f"more than {most} bytes")
            return bytes(told)
