"""The TLS client certificate a request was made with, known by its fingerprint: from the connection, or from a proxy of ours.

A proxy forwards it as RFC 9440 says (`Client-Cert`), or as nginx can (`X-SSL-Cert: $ssl_client_escaped_cert`). Only the one that
ours sets counts: it lets the other through as its client wrote it.
"""

import base64
import hashlib
import re
import ssl
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Literal
from urllib.parse import unquote

from signing_gateway.access_refusals import ProxyHeaderUnreadable

Header = tuple[bytes, bytes]
ProxyHeader = Literal["Client-Cert", "X-SSL-Cert"]

SPOKEN_FOR = frozenset({b"client-cert", b"x-ssl-cert", b"client-cert-chain"})
"""The headers that only a proxy of ours may send; from anybody else they are taken off before anything reads them."""

KEPT = 20_000  # fingerprints; a connection shows the same text again and again
BYTE_SEQUENCE = re.compile(r":([A-Za-z0-9+/=]+):")  # RFC 8941 §3.3.5


@lru_cache(maxsize=KEPT)
def fingerprint(pem: str) -> str:
    """SHA-256 of the certificate's DER, hexadecimal. Raises ValueError."""
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


def forwarded(headers: Iterable[Header], proxy_header: ProxyHeader) -> str | None:
    """The fingerprint a proxy of ours forwards in `proxy_header`; None when its client showed no certificate.

    Raises ProxyHeaderUnreadable, also when the header is there twice and differs.
    """
    read, counts = READ[proxy_header], proxy_header.lower().encode()
    try:
        found = {read(value.decode("ascii")) for name, value in headers if name == counts and value}
    except ValueError:
        raise ProxyHeaderUnreadable from None
    if len(found) > 1:
        raise ProxyHeaderUnreadable
    return found.pop() if found else None


def _escaped_pem(value: str) -> str:
    return fingerprint(unquote(value, errors="strict").strip())


def _byte_sequence(value: str) -> str:
    held = BYTE_SEQUENCE.fullmatch(value.strip())
    if not held:
        raise ValueError("no byte sequence")
    return hashlib.sha256(base64.b64decode(held[1], validate=True)).hexdigest()


READ: dict[ProxyHeader, Callable[[str], str]] = {"Client-Cert": _byte_sequence, "X-SSL-Cert": _escaped_pem}
"""How the fingerprint is read of each header's value; they raise ValueError."""


class Proxies:
    """The addresses of our own proxies: `10.0.0.7, 10.1.0.0/16, fd00::/8`. Raises ValueError that names what is none."""

    def __init__(self, written: str) -> None:
        networks: list[IPv4Network | IPv6Network] = [ip_network(each.strip()) for each in written.split(",") if each.strip()]
        self._networks = networks
        self._judged = lru_cache(maxsize=KEPT)(self._judge)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, host: str) -> bool:
        """Whether `host`, a connection's other end, is one of them."""
        return bool(self._networks) and self._judged(host)

    def _judge(self, host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:  # a Unix socket or a test's client
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._networks)
