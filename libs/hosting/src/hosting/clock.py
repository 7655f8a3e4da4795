"""The only reader of clocks. Every process is given a `Clock`; the embedded stack gives one that can be moved forward."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Answers the instant that counts as now: aware, UTC."""


def utc_now() -> datetime:
    """The host's time, for production."""
    return datetime.now(UTC)  # noqa: TID251 - the one place that reads it


def host_utc() -> datetime:
    """The host's unmoved time, for what is real on purpose: the end of an allowance's validity, leases."""
    return datetime.now(UTC)  # noqa: TID251 - the one place that reads it


def boottime() -> float:
    """Seconds since boot, suspended time included; never set back. For deadlines and back-off (CLOCK_BOOTTIME, Linux)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
