"""Access tokens of client services: EdDSA JWTs (RFC 9068 in spirit), good for an hour by this service's clock."""

from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from uuid import UUID

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from hosting import Clock
from signing_gateway.permission import KnownService
from signing_gateway.refusals import TokenInvalid

ALGORITHMS = ["Ed25519", "EdDSA"]  # RFC 9864 names the first; the second is its older name
LIFETIME = timedelta(hours=1)
REMEMBERED = 50_000  # tokens whose signature need not be judged again


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says; instants in seconds since the epoch."""

    service_id: UUID
    issued: int
    ends: int


class AccessTokens:
    """Issues and reads them. All gateways of one platform share the key, so that any reads what another issued."""

    def __init__(self, key_pem: str, issuer: str, clock: Clock) -> None:
        self._key = OKPKey.import_key(key_pem)
        self._issuer = issuer
        self._audience = f"{issuer}/csc/v2"
        self._clock = clock
        self._known = lru_cache(maxsize=REMEMBERED)(self._decoded)

    def issue(self, service: KnownService) -> str:
        """A token for `service`."""
        now = int(self._clock().timestamp())
        claims: dict[str, str | int] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(service.id),
            "client_id": service.client_id,
            "scope": "service",
            "iat": now,
            "exp": now + int(LIFETIME.total_seconds()),
        }
        return jwt.encode({"alg": "Ed25519", "typ": "at+jwt"}, claims, self._key, algorithms=ALGORITHMS)

    def read(self, authorization: str | None) -> UUID:
        """The client service that brings this `Authorization` header. Raises TokenInvalid, which says what to do."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise TokenInvalid("An access token is needed: ask for one at /oauth2/token.")
        claims = self._known(token.strip())
        if not claims.issued - 5 <= self._clock().timestamp() < claims.ends:
            raise TokenInvalid("The access token is over. Ask for a new one at /oauth2/token.")
        return claims.service_id

    def _decoded(self, token: str) -> Claims:
        """What a token says, its signature judged; never whether it is over. Raises TokenInvalid."""
        try:
            decoded = jwt.decode(token, self._key, algorithms=ALGORITHMS)
            claims = decoded.claims
            held = claims["iss"] == self._issuer and claims["aud"] == self._audience
            read = Claims(UUID(claims["sub"]), int(claims["iat"]), int(claims["exp"]))
        except (JoseError, ValueError, KeyError, TypeError, AttributeError):
            raise TokenInvalid("The access token does not hold. Ask for a new one at /oauth2/token.") from None
        if not held or decoded.header.get("typ") != "at+jwt":
            raise TokenInvalid("The access token does not hold. Ask for a new one at /oauth2/token.")
        return read
