"""A TLS 1.3 port that shows applications the client's certificate. Files and revocation lists are renewed without a restart.

No Python server shows the certificate to ASGI, so `ShowsClientCertificate` extends uvicorn's protocol by ASGI's TLS extension
(https://asgi.readthedocs.io/en/latest/specs/tls.html). Validity is judged by OpenSSL, which knows the host's clock alone.
"""

import os
import ssl
import stat
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hosting.settings import Unusable
from hosting.whole_answers import AnswersWhole
from observability import get_logger

log = get_logger(__name__)

ClientCertificates = Literal["required", "optional"]


class TlsUnusable(Unusable):
    """The certificate, its key, the authorities or a revocation list cannot be used; the text names the file."""


class NewestContext(ssl.SSLContext):
    """What a listening socket holds for its whole life; every handshake is given to the newest context.

    OpenSSL only ever adds to a context, and of two lists of one second it uses the older, so renewing means a new one.
    """

    newest: ssl.SSLContext

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        """The TLS side of one new connection, as asyncio and uvloop ask for it."""
        return self.newest.wrap_bio(*arguments, **named)


class SaysWhy(ssl.SSLObject):
    """Sends the alert of a handshake that fails (RFC 8446 §6.2). asyncio and uvloop cut the connection before it is written."""

    _fault: ssl.SSLError | None = None

    def do_handshake(self) -> None:
        """As its parent's, but a fault is raised when called again: until then there is something to write."""
        if self._fault:
            raise self._fault
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as fault:
            log.info("a TLS handshake was refused", reason=getattr(fault, "verify_message", None) or fault.reason)
            self._fault = fault
            raise ssl.SSLWantReadError from fault


@dataclass(frozen=True)
class TlsPort:
    """A port and its files, all PEM. `client_authorities` sign client certificates; without them none is asked for.

    With `revocable`, a client certificate is refused until a list of its authority has been given to `renew`, and from the
    list's `nextUpdate` on (RFC 5280 §5.1.2.5). Raises TlsUnusable.
    """

    port: int
    certificate: Path
    key: Path
    client_authorities: Path | None = None
    client_certificates: ClientCertificates = "required"
    revocable: bool = False
    context: NewestContext = field(default_factory=lambda: NewestContext(ssl.PROTOCOL_TLS_SERVER), init=False)

    def __post_init__(self) -> None:
        self.renew()

    def renew(self, revocation_lists: Sequence[bytes] = ()) -> None:
        """Handshakes from now on use the files as they are now and these lists (PEM). Raises TlsUnusable and changes nothing."""
        fresh = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        fresh.sslobject_class = SaysWhy
        fresh.minimum_version = ssl.TLSVersion.TLSv1_3
        # A resumed session is not verified again: a certificate revoked meanwhile would still open connections.
        fresh.num_tickets = 0
        try:
            if self.key.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
                raise TlsUnusable(f"{self.key} can be read by everyone: chmod 600 it")
            fresh.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (OSError, ValueError) as fault:  # an SSLError is an OSError
            raise TlsUnusable(f"{self.certificate} and {self.key} are no certificate and its key: {fault}") from None
        if self.client_authorities:
            required = self.client_certificates == "required"
            fresh.verify_mode = ssl.CERT_REQUIRED if required else ssl.CERT_OPTIONAL
            if self.revocable:
                fresh.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
            try:
                fresh.load_verify_locations(self.client_authorities)
                _load_lists(fresh, revocation_lists)
            except (OSError, ValueError) as fault:
                raise TlsUnusable(f"{self.client_authorities} or a revocation list cannot be read: {fault}") from None
        self.context.newest = fresh


def _no_password() -> str:
    """OpenSSL would ask at the terminal."""
    raise ValueError("the key is encrypted")


def _load_lists(context: ssl.SSLContext, revocation_lists: Sequence[bytes]) -> None:
    """OpenSSL reads certificates from memory, but lists from files alone."""
    if revocation_lists:
        handle, name = tempfile.mkstemp(suffix=".pem")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(b"\n".join(revocation_lists))
            context.load_verify_locations(name)
        finally:
            Path(name).unlink()


class ShowsClientCertificate(AnswersWhole):
    """Puts `extensions.tls` into the scope of every request of a TLS connection; one mapping serves the whole connection.

    It leans on a class that uvicorn does not promise: `tests/test_tls.py` says what of it.
    """

    def connection_made(self, transport: Any) -> None:
        """The handshake is over: what it showed holds for as long as the connection."""
        super().connection_made(transport)
        secured = transport.get_extra_info("ssl_object")
        if secured is not None:
            shown = secured.getpeercert(binary_form=True)
            self._extensions["tls"] = {
                "server_cert": None,
                "client_cert_chain": [ssl.DER_cert_to_PEM_cert(shown)] if shown else [],
                "client_cert_name": None,  # whoever asks for a name reads it from the certificate
                "client_cert_error": None,  # one that does not verify ends the handshake
                "tls_version": int(ssl.TLSVersion.TLSv1_3),
                "cipher_suite": CIPHER_SUITES.get(secured.cipher()[0]),
            }


CIPHER_SUITES = {suite["name"]: suite["id"] & 0xFFFF for suite in ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).get_ciphers()}
"""OpenSSL's names → the numbers of the registry (RFC 8446 §B.4)."""
