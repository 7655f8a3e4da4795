"""Secrets that we hand out once and keep only as digests: 256 random bits behind a prefix that scanners recognise."""

import secrets
from hashlib import sha256

OPERATOR_TOKEN = "sinete_op_"  # noqa: S105 - a prefix
CLIENT_SECRET = "sinete_cs_"  # noqa: S105 - a prefix


def new(prefix: str = "") -> str:
    """A new secret, to be shown once."""
    return prefix + secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """SHA-256 of its UTF-8 bytes, hexadecimal. Enough without salt or cost: nobody guesses 256 bits."""
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
