"""How people write durations and instants: 53d, 1d1h, 90m, 30s; RFC 3339."""

import re
from datetime import UTC, datetime, timedelta

from embedded.refusals import ClockRefused

UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
SHAPE = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s)?", re.ASCII)


def duration(text: str) -> timedelta:
    """The duration written as days, hours, minutes and seconds, in this order, each at most once.

    Raises:
        ClockRefused: it is written differently, backwards or zero.
    """
    written = text.strip().lower()
    if written.startswith("-"):
        raise ClockRefused(f"{text!r} goes back: the clock moves forward only")
    match = SHAPE.fullmatch(written)
    if not match or not written:
        raise ClockRefused(f"{text!r} is no duration: write days, hours, minutes, seconds like 53d, 1d1h, 90m or 30s")
    length = timedelta(**{unit: int(number or 0) for unit, number in zip(UNITS.values(), match.groups(), strict=True)})
    if not length:
        raise ClockRefused(f"{text!r} moves nothing: the clock moves forward only")
    return length


def instant(text: str) -> datetime:
    """The instant written in ISO 8601, in UTC where it names no offset.

    Raises:
        ClockRefused: it is written differently.
    """
    try:
        read = datetime.fromisoformat(text.strip())
        return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ClockRefused(f"{text!r} is no instant: write it like 2027-01-31T09:00:00Z") from error


def written(moment: datetime) -> str:
    """RFC 3339 in UTC with Z, to the microsecond where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
