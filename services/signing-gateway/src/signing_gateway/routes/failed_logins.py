"""How many logins may fail. A secret is too long to be guessed; what is bounded is the work that guesses cause."""

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, ip_address, ip_network

from fastapi import Request

from hosting import boottime
from signing_gateway.access_refusals import ClientUnknown, LoginFailed, LoginMalformed, RefreshTokenUnknown
from signing_gateway.client_certificate import Proxies
from signing_gateway.rates import Rates
from signing_gateway.refusals import RateExceeded, TokenInvalid
from signing_gateway.routes.direct import RATE
from signing_gateway.routes.door import SHOWN

FAILED = (ClientUnknown, LoginFailed, LoginMalformed, RefreshTokenUnknown, TokenInvalid)
LONGEST = 100  # characters of a client id that are told apart


class FailedLogins:
    """Counts them for whoever causes them: a TLS client certificate, else an address, else the client id named through a proxy.

    A right secret is let in all the same, since looking at it costs next to nothing: so a stranger locks nobody out. What takes
    a query or a public key to be judged (an assertion, a refresh token) is not looked at until enough time has passed.
    """

    def __init__(self, rates: Rates, proxies: Proxies) -> None:
        self._rates, self._proxies = rates, proxies

    @contextmanager
    def counted(self, request: Request, client_id: str | None, *, costly: bool = False) -> Iterator[None]:
        """Around the judging of a login that names `client_id`; None where it names nobody. Raises TooManyLoginsFailed."""
        who = self._who(request, client_id)
        try:
            if costly:
                self._rates.look(who, boottime())
            try:
                yield
            except FAILED:
                request.scope[RATE] = self._rates.spend(who, boottime())
                raise
        except RateExceeded as why:
            request.scope[RATE] = why.headers
            raise

    def _who(self, request: Request, client_id: str | None) -> tuple[str, str]:
        """Of which kind, since a client may be named as another's certificate or address is."""
        shown: str | None = request.scope.get(SHOWN)
        host = request.client.host if request.client else ""
        if shown is None and client_id is not None and host in self._proxies:
            return "client", client_id[:LONGEST]
        return ("certificate", shown) if shown else ("address", neighbourhood(host))


def neighbourhood(host: str) -> str:
    """The address, of version 6 with all that one customer of a network has: 2^64 of them are one peer."""
    try:
        address = ip_address(host)
    except ValueError:  # a Unix socket
        return host
    if isinstance(address, IPv4Address) or address.ipv4_mapped:
        return host
    return str(ip_network((address, 64), strict=False))
