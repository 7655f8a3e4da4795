"""How a contact fetches a client certificate: by a link, a one-time password and a file in one or more parts. Pure rules."""

import re
import secrets
from datetime import timedelta

LINK_GOOD_FOR = timedelta(days=7)
PASSWORD_GOOD_FOR = timedelta(minutes=30)
ATTEMPTS = 5
"""Comparisons that one password allows; each is counted before it is made."""
PASSWORDS = 4
"""Passwords sent for one order: the first and three more when asked for."""
SESSION_GOOD_FOR = timedelta(minutes=30)
"""After the password held: the time to fetch the file, or the rest of it, or to hand in a request."""

Part = tuple[int, int]
"""The first byte, and the byte after the last."""
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


class LinkOver(Exception):
    """There is no such link, or it is over."""


class PasswordRefused(Exception):
    """The one-time password did not do. Never carries it."""

    def __init__(self, said: str) -> None:
        super().__init__(said)


class NoMorePasswords(Exception):
    """As many one-time passwords as an order allows were sent."""


class NotAdmitted(Exception):
    """This browser has not shown a one-time password, or its time is over."""


class RangeOutside(Exception):
    """The part that is asked for lies outside the file (RFC 9110 §15.5.17)."""


def new_password() -> str:
    """Six digits."""
    return f"{secrets.randbelow(10**6):06}"


def typed_password(typed: str) -> str:
    """What a person typed, without the spaces that phones put between groups."""
    return "".join(typed.split())


def wanted(header: str | None, size: int) -> Part | None:
    """The one part a Range header asks for; None for the whole, as for a header of another kind (RFC 9110 §14.2).

    Raises RangeOutside.
    """
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    start = int(first) if first else max(size - int(last), 0)
    stop = min(int(last) + 1, size) if first and last else size
    if start >= size or (not first and not int(last)):
        raise RangeOutside(f"The file has {size} bytes.")
    return (start, stop) if start < stop else None
