"""What must never reach a log or a trace: secrets by the name of their field, and secrets by how they look.

A field whose name holds a secret's word is hidden unless the whole name is on the allow-list. Text is searched for
bearer tokens, JWTs, PEM blocks, passwords in addresses, query strings (they carry OAuth codes) and `name=value` pairs.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

HIDDEN = "***"
LONGEST_STATE = 20
SHORT = 64

_HIDDEN_WORDS = (
    "pin|puk|otp|totp|token|tokens|secret|secrets|password|passwords|passwd|pwd|passphrase|authorization|authorisation|"
    "code|codes|key|keys|sad|cookie|cookies|credential|credentials|verifier|challenge|ticket|nonce|session|seed|jwt|"
    "assertion|query|otpauth"
)
_SECRET_WORD = re.compile(rf"(?:{_HIDDEN_WORDS})\d*")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")

ALLOWED = frozenset(
    {
        "authorisation_id",
        "code.filepath",
        "code.function",
        "code.function.name",
        "code.lineno",
        "credential_id",
        "error_code",
        "exit_code",
        "http.status_code",
        "http.response.status_code",
        "idempotency_key_id",
        "key_algorithm",
        "key_bits",
        "key_id",
        "key_version",
        "otp_attempts_left",
        "pin_attempts_left",
        "rpc.grpc.status_code",
        "session_timeout_ms",
        "status_code",
        "token_type",
    }
)
"""Names that hold a secret's word and are no secret."""

_PAIR = re.compile(
    r"""(\\?["']?)\b([A-Za-z][\w.-]*)(\\?["']?\s*(?:=|:(?!//))\s*[\[({]?\s*(?:b|SecretStr\()?\\?["']?)(?![\s*])"""
    r"""((?<=["'])[^"']+|[^\s"'\\,;&)}\]]+)"""
)
_SAID_OF_A_SECRET = re.compile(
    r"(?i)(?:.*[_.-])?(?:pin|otp|totp|pass\w*|pwd|.*tokens?|.*secret|cookie|set-cookie|authori[sz]ation)"
)
_LOOKS: tuple[tuple[re.Pattern[str], str], ...] = (
    # SQLAlchemy's, of a statement that failed, as it is or quoted
    (re.compile(r"\[parameters: .*?\](?=\n|\\n|[\"']?\Z)", re.DOTALL), f"[parameters: {HIDDEN}]"),
    (re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL), HIDDEN),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)*"), HIDDEN),
    (re.compile(r"\b(Bearer|Basic|Digest)\s+(?!\*)[^\s\"',;}\])]+", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(r"(?<=://)[^/\s@\"']*:[^/\s@\"']*@"), f"{HIDDEN}@"),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s\"'?#]*|(?<![\w/])/[\w./~%-]*)[?][^\s\"'<>)\]]+", re.IGNORECASE), rf"\1?{HIDDEN}"),
)


@lru_cache(maxsize=4_096)
def looks_secret(name: str) -> bool:
    """Whether a field of this name is hidden: `otp`, `clientSecret`, `set-cookie`; `status_code` is not."""
    if name.lower() in ALLOWED:
        return False
    return any(_SECRET_WORD.fullmatch(word.lower()) for word in _WORD.findall(name))


def masked(text: str) -> str:
    """`text` without what looks like a secret."""
    return _short(text) if len(text) <= SHORT else _searched(text)


@lru_cache(maxsize=4_096)
def _short(text: str) -> str:
    """Names, methods and routes come again and again, and a search is dear."""
    return _searched(text)


def _searched(text: str) -> str:
    for look, instead in _LOOKS:
        text = look.sub(instead, text)
    return _PAIR.sub(_pair, text)


def _pair(found: re.Match[str]) -> str:
    """A `name=value` or `"name": value` whose name is a secret's; of a plain `name: value` only what is surely one's."""
    quote, name, between, value = found.groups()
    exact = "=" in between or quote
    secret = hides(name, value) if exact else _SAID_OF_A_SECRET.fullmatch(name)
    return f"{quote}{name}{between}{HIDDEN if secret else _PAIR.sub(_pair, value)}"


def clean(value: object, depth: int = 6) -> object:
    """A copy of a log field that is fit to leave: plain JSON values, secrets hidden, nested ones too."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, str) or depth == 0:
        return masked(str(value))
    if isinstance(value, Mapping):
        return {str(name): clean_field(str(name), item, depth - 1) for name, item in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [clean(item, depth - 1) for item in value]
    return masked(str(value))


def clean_field(name: str, value: object, depth: int = 6) -> object:
    """As `clean`, but hidden altogether when the field's name says that it is secret."""
    if value is not None and not isinstance(value, bool) and hides(name, value):
        return HIDDEN
    return clean(value, depth)


def hides(name: str, value: object) -> bool:
    """Whether this value of this name is hidden. An OAuth state is random and long, that of a grant is a word."""
    if name.lower().endswith("state") and isinstance(value, str) and len(value) > LONGEST_STATE:
        return True
    return looks_secret(name)
