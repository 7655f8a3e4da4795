"""What every request passes first: is it made over TLS or by a proxy of ours, and with which client certificate."""

from starlette.types import ASGIApp, Receive, Scope, Send

from observability import get_logger
from signing_gateway.access_refusals import CertificateNeeded, PlainRefused
from signing_gateway.client_certificate import SPOKEN_FOR, Proxies, ProxyHeader, fingerprint, forwarded
from signing_gateway.refusals import Refused
from signing_gateway.routes.answers import answered

log = get_logger(__name__)

SHOWN = "client_certificate"
"""The scope's member with the fingerprint of the verified client certificate, or None."""


class Door:
    """Stands before the routes. A header that speaks for a client certificate counts from `proxies` alone (RFC 9440 §4).

    Of them, only `proxy_header` does.
    """

    def __init__(self, routes: ASGIApp, *, proxies: Proxies, proxy_header: ProxyHeader, required: bool, plain: bool) -> None:
        self._routes, self._proxies, self._proxy_header = routes, proxies, proxy_header
        self._required, self._plain = required, plain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] == "http":
            try:
                scope[SHOWN] = self._shown(scope)
            except Refused as why:
                await answered(why)(scope, receive, send)
                return
        await self._routes(scope, receive, send)

    def _shown(self, scope: Scope) -> str | None:
        """The fingerprint, None where none is shown and none is needed. Raises a refusal."""
        by_proxy = bool(self._proxies) and scope["client"] is not None and scope["client"][0] in self._proxies
        tls = scope.get("extensions", {}).get("tls")
        if by_proxy:
            shown = forwarded(scope["headers"], self._proxy_header)
        else:
            if not SPOKEN_FOR.isdisjoint(dict(scope["headers"])):
                log.warning("a client certificate was forwarded by nobody who may", client=str(scope["client"]))
                scope["headers"] = [header for header in scope["headers"] if header[0] not in SPOKEN_FOR]
            if tls is None and not self._plain:
                raise PlainRefused
            shown = fingerprint(tls["client_cert_chain"][0]) if tls and tls["client_cert_chain"] else None
        if shown is None and self._required:
            raise CertificateNeeded
        return shown
