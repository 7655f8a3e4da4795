"""The public keys of a client service (RFC 7517), which verify its private_key_jwt assertions. Pure checks."""

from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

Jwk = dict[str, str]  # a key as RFC 7517 spells it
MAX_KEYS = 10
RSA_BITS = range(2048, 8193)
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
_MEMBERS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_CURVES = {"EC": ("P-256", "P-384", "P-521"), "OKP": ("Ed25519",)}
_KINDS: dict[str, type[RSAKey | ECKey | OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
_DESCRIBING = ("kid", "use", "alg")


def checked(keys: Sequence[Mapping[str, object]]) -> list[Jwk]:
    """The keys with the members that matter here; others are left out, as RFC 7517 §4 has it.

    Raises ValueError naming the key, the member and the rule. A private member is refused by its name, never shown.
    """
    if len(keys) > MAX_KEYS:
        raise ValueError(f"must hold at most {MAX_KEYS} keys")
    kept = [_checked(key, f"[{place}]") for place, key in enumerate(keys)]
    names = [key.get("kid") for key in kept]
    if len(kept) > 1 and (None in names or len(set(names)) < len(names)):
        raise ValueError("must give each of several keys a kid of its own")
    return kept


def _checked(key: Mapping[str, object], at: str) -> Jwk:
    if private := [name for name in _PRIVATE if name in key]:
        raise ValueError(
            f"{at}.{private[0]} is a private member: send the public key only, and replace this one, since it has been sent"
        )
    kind = key.get("kty")
    if not isinstance(kind, str) or kind not in _MEMBERS:
        raise ValueError(f"{at}.kty must be one of {', '.join(_MEMBERS)}")
    kept: Jwk = {"kty": kind}
    for name in (*_MEMBERS[kind], *_DESCRIBING):
        value = key.get(name)
        if value is None and name in _DESCRIBING:
            continue
        if not isinstance(value, str) or not 0 < len(value) <= 2_000:
            raise ValueError(f"{at}.{name} must be a text of 1 to 2000 characters")
        kept[name] = value
    if kept.get("use", "sig") != "sig":
        raise ValueError(f"{at}.use must be sig")
    _demand_sound(kept, at)
    return kept


def _demand_sound(key: Jwk, at: str) -> None:
    kind = key["kty"]
    if kind in _CURVES and key["crv"] not in _CURVES[kind]:
        raise ValueError(f"{at}.crv must be one of {', '.join(_CURVES[kind])}")
    try:
        if kind == "RSA" and (bits := _bits(key["n"])) not in RSA_BITS:
            problem = f"{at}.n has {bits} bits; it must have {RSA_BITS[0]} to {RSA_BITS[-1]}"
        else:
            _ = _KINDS[kind].import_key(dict(key)).public_key  # made here: a point off the curve is refused
            return
    except (JoseError, ValueError, TypeError):
        problem = f"{at} is no usable {kind} public key: check its members"
    raise ValueError(problem)


def _bits(number: str) -> int:
    """The length of a base64url number (RFC 7518 §2)."""
    return int.from_bytes(urlsafe_b64decode(number + "=" * (-len(number) % 4))).bit_length()
