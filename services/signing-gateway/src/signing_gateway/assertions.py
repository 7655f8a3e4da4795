"""Assertions by which a client service authenticates with its own key: private_key_jwt (RFC 7523 §3, OpenID Connect Core §9).

The client makes them by its own clock, so they are judged by the host's, as TLS certificates are.
"""

import base64
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry

from signing_gateway.access_refusals import ClientUnknown
from signing_gateway.permission import KnownService

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"]
LONGEST = timedelta(minutes=10)  # a client needs one for a moment
LEEWAY = timedelta(seconds=30)  # between its clock and ours
MAX_ID = 255
PUBLIC = frozenset({"RSA", "EC", "OKP"})


@dataclass(frozen=True, slots=True)
class Assertion:
    """An assertion that holds. Its `id` may be used once until `ends`."""

    id: str
    ends: datetime


def claimed_client(assertion: str) -> str:
    """The client id that an assertion names; nothing is judged yet. Raises ClientUnknown."""
    try:
        payload = assertion.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        subject = claims["sub"]
    except (ValueError, IndexError, KeyError, TypeError, RecursionError):
        raise ClientUnknown from None
    if not isinstance(subject, str):
        raise ClientUnknown
    return subject


def judged(assertion: str, service: KnownService, audiences: Collection[str], now: datetime) -> Assertion:
    """The assertion, when one of the service's keys signed it for us, not long ago. Raises ClientUnknown, never saying why."""
    claims = _signed(assertion, service)
    try:
        named = {claims["iss"], claims["sub"]} == {service.client_id}
        audience = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
        ends, begins = _instant(claims["exp"], now), _instant(claims.get("nbf", claims.get("iat", 0)), now)
        jti = claims["jti"]
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        raise ClientUnknown from None
    fresh = begins - LEEWAY <= now < ends + LEEWAY and ends <= now + LONGEST + LEEWAY
    if not (named and fresh and isinstance(jti, str) and 0 < len(jti) <= MAX_ID and audiences_meet(audience, audiences)):
        raise ClientUnknown
    return Assertion(jti, ends + LEEWAY)


def audiences_meet(named: Collection[Any], ours: Collection[str]) -> bool:
    """Whether one of those named is us."""
    return any(each in ours for each in named if isinstance(each, str))


def _signed(assertion: str, service: KnownService) -> Mapping[str, Any]:
    for known in service.jwks:
        if known.get("kty") not in PUBLIC:
            continue
        try:
            return jwt.decode(assertion, JWKRegistry.import_key(dict(known)), algorithms=ALGORITHMS).claims
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    raise ClientUnknown


def _instant(seconds: Any, now: datetime) -> datetime:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError("no NumericDate")
    return datetime.fromtimestamp(seconds, now.tzinfo)
