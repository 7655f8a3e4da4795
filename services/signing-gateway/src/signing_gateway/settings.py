"""What the signing gateway is told, besides what every process is told."""

from pathlib import Path
from typing import Self

from asn1crypto import pem, x509
from pydantic import Field, SecretStr, model_validator

from hosting.settings import ProcessSettings
from hosting.tls import ClientCertificates, TlsPort
from signing_gateway.client_certificate import Proxies, ProxyHeader


class Settings(ProcessSettings):
    """Environment variables in upper case; `token_key` is a file in SECRETS_DIR."""

    public_url: str = Field(pattern=r"^https?://[^/]+(/.*[^/])?$")  # where clients reach us, without a slash at the end
    other_urls: str = ""  # further addresses that clients use, separated by commas; each is an issuer of its own in the metadata
    grant_monitor_url: str
    ca_connector_url: str
    token_key: SecretStr  # Ed25519 private key, PKCS#8 PEM: signs access tokens; the same for every gateway
    answers_kept_hours: int = Field(default=24, ge=1, le=720)  # to an Idempotency-Key, and of asynchronous requests
    requests_per_minute: int = Field(default=12_000, ge=1)  # of one client service, at this gateway
    failed_logins_per_minute: int = Field(default=60, ge=1)  # of one peer, at this gateway
    max_hashes: int = Field(default=1000, ge=1, le=10_000)  # in one request
    max_document_body: int = Field(default=32 * 1024 * 1024, ge=1024, le=256 * 1024 * 1024)  # bytes of a signDoc call, in base64
    max_documents: int = Field(default=100, ge=1, le=1000)  # in one signDoc call
    document_share: int = Field(default=50, ge=1, le=100)  # per cent of the places for signDoc calls, of one client service
    pdf_processes: int = Field(default=2, ge=1, le=64)  # that read and write PDF files
    timestamp_url: str = ""  # RFC 3161 authority, https; empty: none, so only level B-B is offered
    timestamp_authorities: Path | None = None  # PEM: whom its certificate must come from; none: https alone vouches for it
    embedded_ca_hosts: str = ""  # host:port, several by commas, that may be called by plain http; never in production
    tls_port: int | None = Field(default=None, ge=1, le=65_535)
    tls_certificate: Path | None = None  # PEM, the server's, with its chain
    tls_key: Path | None = None  # PEM, not encrypted, readable by this process alone
    client_authorities: Path | None = None  # PEM: whose client certificates are taken
    client_certificates: ClientCertificates = "required"
    client_revocation_lists: str = ""  # URLs, separated by commas: one for each of the authorities, or none at all
    trusted_proxies: str = ""  # addresses and networks, separated by commas, that may forward a client certificate in a header
    proxy_header: ProxyHeader = "Client-Cert"  # the one that they set on every request; no other counts
    plain_http: bool = False  # everybody may come without TLS: for this machine alone

    @model_validator(mode="after")
    def _whole(self) -> Self:
        told = [self.tls_port, self.tls_certificate, self.tls_key]
        if any(told) and not all(told):
            raise ValueError("TLS_PORT, TLS_CERTIFICATE and TLS_KEY come together")
        if not (self.tls_port or self.proxies or self.plain_http):
            raise ValueError("nobody could reach the gateway: set TLS_PORT, or TRUSTED_PROXIES where a proxy ends TLS")
        if self.tls_port and self.client_certificates == "required" and not self.client_authorities:
            raise ValueError("CLIENT_AUTHORITIES is needed while CLIENT_CERTIFICATES is required")
        if self.revocation_lists and not self.client_authorities:
            raise ValueError("CLIENT_REVOCATION_LISTS is of no use without CLIENT_AUTHORITIES")
        return self

    @property
    def others(self) -> list[str]:
        """The further addresses."""
        return [url.strip().rstrip("/") for url in self.other_urls.split(",") if url.strip()]

    @property
    def proxies(self) -> Proxies:
        """Whose word on a client certificate counts."""
        return Proxies(self.trusted_proxies)

    def timestamp_roots(self) -> list[x509.Certificate]:
        """Whom the timestamp authority must be certified by; raises OSError or ValueError for a file that is none."""
        if self.timestamp_authorities is None:
            return []
        found = pem.unarmor(self.timestamp_authorities.read_bytes(), multiple=True)
        return [x509.Certificate.load(der) for _, _, der in found]

    def tls(self) -> TlsPort | None:
        """The port over TLS, or None where a proxy ends it. Raises TlsUnusable."""
        if not (self.tls_port and self.tls_certificate and self.tls_key):
            return None
        return TlsPort(
            self.tls_port,
            self.tls_certificate,
            self.tls_key,
            self.client_authorities,
            self.client_certificates,
            revocable=bool(self.revocation_lists),
        )

    @property
    def revocation_lists(self) -> list[str]:
        """Where the lists are published."""
        return [url.strip() for url in self.client_revocation_lists.split(",") if url.strip()]
