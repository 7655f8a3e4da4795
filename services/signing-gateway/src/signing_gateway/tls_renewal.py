"""Keeps the TLS port as new as its files and its authorities' revocation lists (RFC 5280 §5), without a restart.

It is the second of two locks: whom a certificate identifies is judged on every request by what the registry tells.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from prometheus_client import Counter, Gauge

from hosting.exchanges import Exchanges, NoAnswer, NotSent, parted
from hosting.tls import TlsPort, TlsUnusable
from observability import get_logger

log = get_logger(__name__)

LOOK_S = 1.0
TIMEOUT_S = 5.0
MAX_LIST = 32 * 1024 * 1024

FAILURES = Counter("revocation_list_failures_total", "Looks for a revocation list that gave none that can be used", ["url"])
NEXT_UPDATE = Gauge("revocation_list_next_update_seconds", "When the list in use ends, in seconds since 1970", ["url"])


class ListUnusable(Exception):
    """What was fetched is no revocation list of one of our authorities, or an older one than is in use."""


class TlsRenewal:
    """A background task that looks at the lists and the files each second. What cannot be had leaves what was in use."""

    def __init__(self, port: TlsPort, urls: Sequence[str]) -> None:
        self._port = port
        self._asked = {url: Exchanges(parted(url)[0], TIMEOUT_S, MAX_LIST) for url in urls}
        self._lists: dict[str, x509.CertificateRevocationList] = {}
        self._failing: set[str] = set()
        self._files = self._seen()

    @property
    def complete(self) -> bool:
        """Whether every list has been had once; until then no client certificate of the missing ones' authorities is taken."""
        return len(self._lists) == len(self._asked)

    async def run(self) -> None:
        """Looks for ever."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(LOOK_S)
        finally:
            for exchanges in self._asked.values():
                exchanges.close()

    async def look(self) -> None:
        """Renews the port when a list or a file has changed."""
        newer = [await self._newer(url) for url in self._asked]
        files = self._seen()
        if any(newer) or files != self._files:
            try:
                self._port.renew([each.public_bytes(Encoding.PEM) for each in self._lists.values()])
                self._files = files
                log.info("the TLS port is renewed", lists=len(self._lists))
            except TlsUnusable as fault:
                log.warning("the TLS port stays as it was", reason=str(fault))

    async def _newer(self, url: str) -> bool:
        """Whether there is another list at `url` than the one in use; it is then the one to use."""
        try:
            found = self._judged(await self._fetched(url), url)
        except (NotSent, NoAnswer, ListUnusable) as fault:
            FAILURES.labels(url).inc()
            if url not in self._failing:
                log.warning("a revocation list cannot be had; the last one stays in use", url=url, reason=str(fault))
            self._failing.add(url)
            return False
        self._failing.discard(url)
        changed = found != self._lists.get(url)
        self._lists[url] = found
        if found.next_update_utc:
            NEXT_UPDATE.labels(url).set(found.next_update_utc.timestamp())
        return changed

    async def _fetched(self, url: str) -> bytes:
        answer = await self._asked[url].ask("GET", parted(url)[1], {})
        if answer.status != 200:
            raise ListUnusable(f"status {answer.status}")
        return answer.body

    def _judged(self, content: bytes, url: str) -> x509.CertificateRevocationList:
        """The list, when one of our authorities signed it and it is no older than the one in use. Raises ListUnusable."""
        pem = content.lstrip().startswith(b"-----BEGIN")
        try:
            found = (x509.load_pem_x509_crl if pem else x509.load_der_x509_crl)(content)
            authorities = x509.load_pem_x509_certificates(self._port.client_authorities.read_bytes())  # type: ignore[union-attr]  # settings ask for both
            signed = any(_signed(found, each) for each in authorities)
        except (ValueError, OSError, UnsupportedAlgorithm) as fault:
            raise ListUnusable(f"it cannot be read: {fault}") from None
        if not signed:
            raise ListUnusable("none of the authorities in CLIENT_AUTHORITIES signed it")
        used = self._lists.get(url)
        if used and _issued(found) < _issued(used):
            raise ListUnusable("it is older than the one in use")
        return found

    def _seen(self) -> list[int]:
        """When each file was last written; 0 where it is not there just now."""
        files = (self._port.certificate, self._port.key, self._port.client_authorities)
        return [file.stat().st_mtime_ns if file and file.exists() else 0 for file in files]


def _signed(found: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    try:
        return found.issuer == authority.subject and found.is_signature_valid(authority.public_key())  # type: ignore[arg-type]  # other keys raise
    except (InvalidSignature, TypeError):
        return False


def _issued(found: x509.CertificateRevocationList) -> tuple[int, datetime]:
    """What orders the lists of one authority: the number (RFC 5280 §5.2.3), where there is one, then the instant."""
    try:
        number = found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except x509.ExtensionNotFound:
        number = 0
    return number, found.last_update_utc.astimezone(UTC)
