"""Service tokens: how one of our processes proves to another who it is. EdDSA JWTs, good for 60 s, one audience each.

RFC 7519, RFC 8037. Each endpoint names the services that may call it.
"""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from fastapi import Request
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OKPKey

from hosting.clock import Clock

ALGORITHMS = ["Ed25519"]  # RFC 9864: EdDSA with its curve named
LIFETIME = timedelta(seconds=60)
LEEWAY = timedelta(seconds=5)  # between hosts
HELD_TOKENS = 100  # proven ones: a caller brings the same one for half a minute, and a proof costs more than a whole call


class CallerUnknown(Exception):
    """No service token that holds: who calls is not known."""

    headers = {"WWW-Authenticate": "Bearer"}


class CallerNotAllowed(Exception):
    """The calling service is known and this endpoint is not for it."""


class TokenIssuer:
    """Makes the tokens of one service."""

    def __init__(self, service: str, key_pem: str, clock: Clock) -> None:
        self._service = service
        self._key = OKPKey.import_key(key_pem)
        self._clock = clock
        self._made: dict[str, tuple[float, str]] = {}

    def issue(self, audience: str) -> str:
        """A token for calls to `audience`. One is used for half its life, which spares a signature per call."""
        now = self._clock().timestamp()
        made_at, token = self._made.get(audience, (0.0, ""))
        if not 0 <= now - made_at < LIFETIME.total_seconds() / 2:
            claims: dict[str, str | int] = {
                "iss": self._service,
                "sub": self._service,
                "aud": audience,
                "iat": int(now),
                "exp": int(now + LIFETIME.total_seconds()),
                "jti": uuid4().hex,
            }
            token = jwt.encode({"alg": "Ed25519", "kid": self._service}, claims, self._key, algorithms=ALGORITHMS)
            self._made[audience] = (now, token)
        return token


class TokenVerifier:
    """Reads the tokens that others bring to one service."""

    def __init__(self, service: str, keys: Path, clock: Clock) -> None:
        self._service = service
        self._keys = KeySet.import_key_set(json.loads(keys.read_text()))
        self._clock = clock
        self._held: dict[str, tuple[str, float, float]] = {}

    def verify(self, authorization: str | None) -> str:
        """The name of the calling service. Raises CallerUnknown, without saying which check failed."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise CallerUnknown("a service token is needed")
        held = self._held.get(token)
        if held is None:
            held = self._proven(token)
            if len(self._held) >= HELD_TOKENS:
                self._held.clear()
            self._held[token] = held
        kid, begins, ends = held
        if not begins <= self._clock().timestamp() < ends:
            raise CallerUnknown("the service token does not hold")
        return kid

    def _proven(self, token: str) -> tuple[str, float, float]:
        """Who calls, and from when to when the token holds: all of it that does not depend on the time it is brought."""
        try:
            decoded = jwt.decode(token.strip(), self._keys, algorithms=ALGORITHMS)
        except (JoseError, ValueError, KeyError):
            raise CallerUnknown("the service token does not hold") from None
        claims, kid, leeway = decoded.claims, decoded.header.get("kid"), LEEWAY.total_seconds()
        begins, ends = claims.get("iat"), claims.get("exp")
        if not isinstance(begins, int) or not isinstance(ends, int) or ends - begins > LIFETIME.total_seconds():
            raise CallerUnknown("the service token does not hold")
        if claims.get("aud") != self._service or claims.get("iss") != kid or not isinstance(kid, str):
            raise CallerUnknown("the service token does not hold")
        return kid, begins - leeway, ends + leeway


def caller(verifier: TokenVerifier, *allowed: str) -> Callable[[Request], Awaitable[str]]:
    """A FastAPI dependency: the calling service's name, when it is one of `allowed`; 401 or 403 otherwise."""

    async def check(request: Request) -> str:
        name = verifier.verify(request.headers.get("authorization"))
        if name not in allowed:
            raise CallerNotAllowed(f"{name} may not call this")
        return name

    return check
