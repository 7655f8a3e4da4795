"""Who the client is: how it asks for its access token, and the TLS certificate it shows."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from sinete_client.refusals import Misused

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_S = 60


@dataclass(frozen=True)
class ByCertificate:
    """The TLS client certificate alone says who it is (RFC 8705)."""

    client_id: str

    def form(self, _token_url: str, _now: int) -> dict[str, str]:
        """What is added to the token request."""
        return {"client_id": self.client_id}


@dataclass(frozen=True)
class BySecret:
    """A client secret, sent in the form over TLS (RFC 6749 §2.3.1)."""

    client_id: str
    secret: str = field(repr=False)

    def form(self, _token_url: str, _now: int) -> dict[str, str]:
        """What is added to the token request."""
        return {"client_id": self.client_id, "client_secret": self.secret}


@dataclass(frozen=True)
class ByPrivateKey:
    """An assertion signed with the client's own key (RFC 7523): the secret never travels. `pem`: Ed25519, P-256 or RSA."""

    client_id: str
    pem: str = field(repr=False)
    key_id: str | None = None

    def form(self, token_url: str, now: int) -> dict[str, str]:
        """What is added to the token request."""
        from joserfc import jwt
        from joserfc.jwk import ECKey, OKPKey, RSAKey

        kinds: tuple[tuple[type[OKPKey | ECKey | RSAKey], str], ...] = ((OKPKey, "Ed25519"), (ECKey, "ES256"), (RSAKey, "RS256"))
        for kind, algorithm in kinds:
            try:
                key = kind.import_key(self.pem)
            except ValueError:
                continue
            header = {"alg": algorithm, **({"kid": self.key_id} if self.key_id else {})}
            claims: dict[str, str | int] = {
                "iss": self.client_id,
                "sub": self.client_id,
                "aud": token_url,
                "iat": now,
                "exp": now + ASSERTION_S,
                "jti": uuid4().hex,
            }
            signed = jwt.encode(header, claims, key, algorithms=[algorithm])
            return {"client_id": self.client_id, "client_assertion_type": ASSERTION, "client_assertion": signed}
        raise Misused("the private key is neither Ed25519, EC nor RSA in PEM")


Identity = ByCertificate | BySecret | ByPrivateKey


@dataclass(frozen=True)
class ClientCertificate:
    """The certificate (PEM, with its chain if any) and its key, in files; `password` opens an encrypted key."""

    cert: Path
    key: Path
    password: str | None = field(default=None, repr=False)


def tls(ca: Path | None, certificate: ClientCertificate | None) -> ssl.SSLContext:
    """What connections are made with: `ca` (PEM) instead of the system's authorities. Raises Misused that names the file."""
    for file in [ca, certificate.cert if certificate else None, certificate.key if certificate else None]:
        if file is not None and not file.is_file():
            raise Misused(f"{file}: no such file")
    try:
        context = ssl.create_default_context(cafile=ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if certificate is not None:
            context.load_cert_chain(certificate.cert, certificate.key, certificate.password)
    except ssl.SSLError as fault:
        name = certificate.cert if certificate else ca
        raise Misused(f"{name}: certificate and key do not fit or cannot be read ({fault.reason})") from None
    return context
