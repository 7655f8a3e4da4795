"""How what people type must be spelt. Each check answers the value as it is kept, or raises ValueError naming the rule."""

import re
import unicodedata
from datetime import date
from functools import cache
from typing import TypeVar
from zoneinfo import available_timezones

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
TDate = TypeVar("TDate", bound=date)
_MOBILE = re.compile(r"\+[1-9][0-9]{6,14}")


def one_line(text: str) -> str:
    """Trimmed text without control characters, line ends or invisible direction marks."""
    if any(unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for sign in text):
        raise ValueError("must hold no control characters and no line ends")
    return text.strip()


def named(text: str) -> str:
    """One line that is not empty."""
    trimmed = one_line(text)
    if not trimmed:
        raise ValueError("must not be empty")
    return trimmed


def email(text: str) -> str:
    """An address as RFC 5321 spells the common form: one @, no quoting, no comments; the domain in lower case."""
    local, at, domain = text.partition("@")
    labels = domain.split(".")
    sound = at and len(text) <= 254 and len(local) <= 64 and _LOCAL.fullmatch(local)
    if not sound or len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("must be an e-mail address, as name@example.com")
    return f"{local}@{domain.lower()}"


def mobile(text: str) -> str:
    """A mobile number in E.164."""
    if not _MOBILE.fullmatch(text):
        raise ValueError("must be a number in E.164, as +351910000001")
    return text


def zone(name: str) -> str:
    """An IANA time zone."""
    if name not in _zones():
        raise ValueError("must be the IANA name of a time zone, as Europe/Lisbon")
    return name


@cache
def _zones() -> set[str]:
    return available_timezones()


def in_reach(when: TDate) -> TDate:
    """A date or an instant that every zone can spell."""
    if not 1970 <= when.year <= 9000:
        raise ValueError("must lie between the years 1970 and 9000")
    return when
