"""Access tokens of client services: EdDSA JWTs (RFC 9068 in spirit), good for an hour by this service's clock.

One that was asked for with a TLS client certificate is bound to it (RFC 8705 §3.1).
"""

import base64
from datetime import timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid4

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from msgspec import Struct

from hosting import Clock
from signing_gateway.permission import KnownService
from signing_gateway.refusals import NotCurrent, TokenInvalid
from signing_gateway.revoked import Revoked

ALGORITHMS = ["Ed25519", "EdDSA"]  # RFC 9864 names the first; the second is its older name
LIFETIME = timedelta(hours=1)
REMEMBERED = 50_000  # tokens whose signature need not be judged again


class Claims(Struct, frozen=True, gc=False):
    """What a token says; instants in seconds since 1970. `login`: the refresh token it came of, with which it is revoked."""

    service_id: UUID
    issued: int
    ends: int
    id: str
    login: str | None
    certificate: str | None  # the SHA-256 it is bound to, hexadecimal


class AccessTokens:
    """Issues and reads them. All gateways of one platform share the key, so that any reads what another issued."""

    def __init__(self, key_pem: str, issuer: str, clock: Clock, revoked: Revoked) -> None:
        self._key = OKPKey.import_key(key_pem)
        self._issuer = issuer
        self._audience = f"{issuer}/csc/v2"
        self._clock = clock
        self._revoked = revoked
        self._brought = lru_cache(maxsize=REMEMBERED)(self._read)

    def issue(self, service: KnownService, *, certificate: str | None = None, login: str | None = None) -> str:
        """A token for `service`, bound to the client certificate with this SHA-256, of the login with this id."""
        now = int(self._clock().timestamp())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(service.id),
            "client_id": service.client_id,
            "scope": "service",
            "iat": now,
            "exp": now + int(LIFETIME.total_seconds()),
            "jti": uuid4().hex,
        }
        if certificate:
            claims["cnf"] = {"x5t#S256": base64.urlsafe_b64encode(bytes.fromhex(certificate)).rstrip(b"=").decode()}
        if login:
            claims["login"] = login
        header = {"alg": "Ed25519", "typ": "at+jwt", "kid": self._key.thumbprint()}
        return jwt.encode(header, claims, self._key, algorithms=ALGORITHMS)

    def read(self, authorization: bytes | None, shown: str | None = None) -> Claims:
        """What the token in this `Authorization` header says, brought with the client certificate `shown`.

        Raises TokenInvalid, which says what to do, and NotCurrent when it cannot be told whether it was revoked.
        """
        scheme, _, token = (authorization or b"").partition(b" ")
        if scheme.lower() != b"bearer":
            raise TokenInvalid("An access token is needed: ask for one at /oauth2/token.")
        claims = self._brought(token.strip())
        if not claims.issued - 5 <= self._clock().timestamp() < claims.ends:
            raise TokenInvalid("The access token is over. Ask for a new one at /oauth2/token.")
        if claims.id in self._revoked or claims.login in self._revoked:
            raise TokenInvalid("The access token was revoked. Ask for a new one at /oauth2/token.")
        if claims.certificate is not None and claims.certificate != shown:
            raise TokenInvalid("The access token is bound to the TLS client certificate it was asked for with. Connect with it.")
        if not self._revoked.current():
            raise NotCurrent
        return claims

    def claims_of(self, token: str) -> Claims | None:
        """What a token of ours says, be it over or revoked; None for any other text."""
        try:
            return self._decoded(token)
        except TokenInvalid:
            return None

    def public_keys(self) -> dict[str, Any]:
        """The JWKS (RFC 7517) that verifies them."""
        key = {**self._key.as_dict(private=False), "kid": self._key.thumbprint(), "use": "sig", "alg": "Ed25519"}
        return {"keys": [key]}

    def _read(self, token: bytes) -> Claims:
        """What a token says, its signature judged; never whether it is over. Raises TokenInvalid."""
        if not token:
            raise TokenInvalid("An access token is needed: ask for one at /oauth2/token.")
        return self._decoded(token.decode("latin-1"))

    def _decoded(self, token: str) -> Claims:
        """What a token says, its signature judged; never whether it is over. Raises TokenInvalid."""
        try:
            decoded = jwt.decode(token, self._key, algorithms=ALGORITHMS)
            claims = decoded.claims
            held = claims["iss"] == self._issuer and claims["aud"] == self._audience
            bound = claims.get("cnf", {}).get("x5t#S256")
            read = Claims(
                UUID(claims["sub"]),
                int(claims["iat"]),
                int(claims["exp"]),
                str(claims["jti"]),
                claims.get("login"),
                base64.urlsafe_b64decode(bound + "=").hex() if bound else None,
            )
        except (JoseError, ValueError, KeyError, TypeError, AttributeError):
            raise TokenInvalid("The access token does not hold. Ask for a new one at /oauth2/token.") from None
        if not held or decoded.header.get("typ") != "at+jwt":
            raise TokenInvalid("The access token does not hold. Ask for a new one at /oauth2/token.")
        return read
