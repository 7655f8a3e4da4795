"""A certificate signing request (PKCS#10, RFC 2986, in the armour of RFC 7468) as somebody pastes it: read, or refused.

A refusal names every defect and where it is, so that it can be mended without a guess.
"""

import re
from base64 import b64decode

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509.oid import NameOID

MAX_SIGNS = 16_384
RSA_BITS = range(2048, 8193)
_LABEL = "CERTIFICATE REQUEST"
_ARMOUR = re.compile(r"^(?P<before>[-‐-―−]*) *(?P<verb>BEGIN|END) (?P<label>[A-Z0-9 #]+?) *(?P<after>[-‐-―−]*)$")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/=]")
_DEMANDED = {
    NameOID.COMMON_NAME: "common name (CN)",
    NameOID.ORGANIZATION_NAME: "organisation (O)",
    NameOID.COUNTRY_NAME: "country (C)",
}
_WEAK_HASHES = {"md5", "sha1"}


class RequestRefused(Exception):
    """The request cannot be used. `defects`: each a sentence that says where and what; none shows what was sent."""

    def __init__(self, defects: list[str]) -> None:
        super().__init__("csr: " + "; ".join(defects))
        self.defects = defects


def checked(pem: str) -> x509.CertificateSigningRequest:
    """The request in `pem`, well formed, signed with its own key, of a key and names that do. Raises RequestRefused."""
    der = _unarmoured(pem)
    try:
        request = x509.load_der_x509_csr(der)
        key, sound, hashed = request.public_key(), request.is_signature_valid, request.signature_hash_algorithm
        names = list(request.subject)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise RequestRefused(
            ["what the armour holds is no PKCS#10 request; make the request anew and paste the whole file"]
        ) from None
    defects = _defects_of_key(key) + _defects_of_names(names)
    if not sound:
        defects.append("its signature does not fit its key: it was altered after it was made; make it anew")
    elif hashed is not None and hashed.name in _WEAK_HASHES:
        defects.append(f"it is signed with {hashed.name.upper()}, which can be forged; sign it with SHA-256 or better")
    if defects:
        raise RequestRefused(defects)
    return request


def _unarmoured(pem: str) -> bytes:
    """The DER inside. Every defect of the armour and of the base64 is found before any is told."""
    if len(pem) > MAX_SIGNS:
        raise RequestRefused([f"it has more than {MAX_SIGNS} characters"])
    lines = [(number, line.rstrip("\r")) for number, line in enumerate(pem.split("\n"), 1) if line.strip()]
    if not lines:
        raise RequestRefused([f"it is empty; paste the text from -----BEGIN {_LABEL}----- to -----END {_LABEL}-----"])
    defects = _defect_of_armour(*lines[0], "BEGIN")
    if len(lines) > 1:
        defects += _defect_of_armour(*lines[-1], "END")
    else:
        defects.append(f"there is only one line; the last has to be -----END {_LABEL}-----")
    body = lines[1:-1]
    for number, line in body:
        if signs := sorted(set(_NOT_BASE64.findall(line.strip()))):
            defects.append(f"line {number} holds {_named(signs)}, which base64 does not know")
    text = "".join(_NOT_BASE64.sub("", line) for _, line in body)
    unpadded = len(text.rstrip("="))
    if len(text) % 4 or "=" in text.rstrip("="):
        defects.append(
            f"its base64 has {unpadded} characters and {len(text) - unpadded} of padding, which is no whole number of bytes: "
            "characters were lost or added" + _uneven(body)
        )
    if defects:
        raise RequestRefused(list(dict.fromkeys(defects)))
    return b64decode(text)


def _defect_of_armour(number: int, line: str, verb: str) -> list[str]:
    """What is wrong with the first or the last line."""
    wanted = f"-----{verb} {_LABEL}-----"
    if line.strip() in {wanted, f"-----{verb} NEW {_LABEL}-----"}:
        return []
    found = _ARMOUR.match(line.strip())
    if found is None or found["verb"] != verb:
        return [f"line {number} has to be {wanted}"]
    if "PRIVATE KEY" in found["label"]:
        return ["it is a private key, which must never be sent: throw it away, make a new one and send its request only"]
    if found["label"].removeprefix("NEW ") != _LABEL:
        return [f"line {number} announces a {found['label'].lower()}, not a certificate request"]
    return [
        f"line {number} {where} with {_hyphens(found[side])} instead of 5 hyphens"
        for side, where in (("before", "begins"), ("after", "ends"))
        if found[side] != "-----"
    ]


def _hyphens(signs: str) -> str:
    if signs.strip("-"):
        return "typographic dashes"
    return f"{len(signs)} hyphen{'' if len(signs) == 1 else 's'}"


def _uneven(body: list[tuple[int, str]]) -> str:
    """Where that may have happened: RFC 7468 wants all lines but the last of one length."""
    longest = max((len(line.strip()) for _, line in body), default=0)
    short = [str(number) for number, line in body[:-1] if len(line.strip()) < longest]
    return f" (lines of another length than the rest: {', '.join(short[:20])})" if short else ""


def _named(signs: list[str]) -> str:
    if " " in signs or "\t" in signs:
        return "a space"
    return "a character"


def _defects_of_key(key: object) -> list[str]:
    if isinstance(key, RSAPublicKey):
        if key.key_size in RSA_BITS:
            return []
        return [f"its RSA key has {key.key_size} bits; it must have {RSA_BITS[0]} to {RSA_BITS[-1]}"]
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return []
    kind = f"an elliptic curve key on {key.curve.name}" if isinstance(key, EllipticCurvePublicKey) else "of another kind"
    return [f"its key is {kind}; it must be RSA of at least {RSA_BITS[0]} bits or an elliptic curve key on P-256"]


def _defects_of_names(names: list[x509.NameAttribute[str | bytes]]) -> list[str]:
    known = {attribute.oid: attribute.value for attribute in names}
    defects = [f"its subject lacks the {word}" for oid, word in _DEMANDED.items() if not str(known.get(oid, "")).strip()]
    country = known.get(NameOID.COUNTRY_NAME)
    if country and not re.fullmatch(r"[A-Za-z]{2}", str(country)):
        defects.append("its country (C) is no code of two letters, as PT")
    return defects
