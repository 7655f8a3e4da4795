"""Which URLs of others a service will call (controls 21 and 22): https on public addresses, and nothing that pretends to be."""

import asyncio
import ipaddress
import re
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

PORTS = frozenset({443, 8443})
HOST = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
TRANSLATED = tuple(map(ipaddress.IPv6Network, ("::/96", "64:ff9b::/96", "64:ff9b:1::/48")))
"""IPv4-compatible addresses and those of NAT64 translators (RFC 4291, 6052, 8215): an IPv4 address in disguise."""
PATH = re.compile(r"[A-Za-z0-9._~/-]*")


class AddressRefused(ValueError):
    """A URL that is not called: which field and why."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field, self.rule = field, rule


@dataclass(frozen=True)
class Allowed:
    """The hosts, as host:port, for which an embedded stack allows plain http and loopback. Empty in production."""

    hosts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, told: str) -> "Allowed":
        """From the setting's comma list."""
        return cls(frozenset(part.strip().lower() for part in told.split(",") if part.strip()))

    def named(self, host: str, port: int) -> bool:
        """Whether the setting names this host and port."""
        return f"{host}:{port}" in self.hosts


def checked(url: str, allowed: Allowed, field: str = "url", *, signed: bool = False) -> str:
    """The URL without a trailing slash. Raises AddressRefused naming the rule.

    `signed` takes plain http on port 80 too: for answers that carry a signature of their own, as those of OCSP and revocation
    lists do, whose addresses in certificates are hardly ever https (RFC 5280 §8).
    """
    _check_plain(url, field)
    try:
        parts, port = urlsplit(url), urlsplit(url).port
    except ValueError:
        raise AddressRefused(field, "is no URL") from None
    host = parts.hostname or ""
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise AddressRefused(field, "must not carry user information")
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise AddressRefused(field, "must not have a query or a fragment")
    if not PATH.fullmatch(parts.path) or ".." in parts.path:
        raise AddressRefused(field, "has a path with other characters than letters, digits and ._~/-")
    effective = port if port is not None else {"https": 443, "http": 80}.get(parts.scheme, 0)
    if not (parts.scheme in {"http", "https"} and allowed.named(host, effective)):
        if not (signed and (parts.scheme, effective) == ("http", 80)):
            _check_encrypted(parts.scheme, effective, field)
        if not HOST.fullmatch(host):
            raise AddressRefused(field, "must name a host by its full domain name, not by an address and without a trailing dot")
    return url.rstrip("/")


def followed(url: str, allowed: Allowed, field: str) -> str:
    """A link that people are given: https to a named host, never a script or another name in disguise. Raises AddressRefused."""
    _check_plain(url, field)
    checked(re.split("[?#]", url, maxsplit=1)[0], allowed, field)
    return url


def _check_plain(url: str, field: str) -> None:
    if not url.isascii() or any(c.isspace() or ord(c) < 33 for c in url) or "\\" in url:
        raise AddressRefused(field, "must be plain ASCII; write an international name in its xn-- form")


def _check_encrypted(scheme: str, port: int, field: str) -> None:
    if scheme != "https":
        raise AddressRefused(field, "must begin with https://")
    if port not in PORTS:
        raise AddressRefused(field, f"must use port {' or '.join(map(str, sorted(PORTS)))}")


def is_public(address: str) -> bool:
    """Whether an IP address that a name resolved to may be called: global unicast, IPv4 in IPv6 looked through."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found.is_site_local or any(found in network for network in TRANSLATED):
            return False
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
    return found.is_global and not found.is_multicast


class PublicOnly:
    """Resolves once for the connection that follows, and only to addresses that may be called; so a name cannot be rebound."""

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed

    async def __call__(self, host: str, port: int) -> list[str]:
        """For `hosting.exchanges`. Raises OSError when nothing public is found."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        told = [str(each[4][0]) for each in found]
        addresses = told if self._allowed.named(host, port) else [address for address in told if is_public(address)]
        if not addresses:
            raise OSError(f"{host} resolves to no public address")
        return addresses
