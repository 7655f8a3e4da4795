"""The only reader of clocks. Every process is given a `Clock`; the embedded stack gives one that can be moved forward."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

Clock = Callable[[], datetime]
"""Answers the instant that counts as now: aware, UTC."""


utc_now: Clock = partial(datetime.now, UTC)  # noqa: TID251 - the one place that reads it
"""The host's time, for production."""

host_utc: Clock = partial(datetime.now, UTC)  # noqa: TID251 - the one place that reads it
"""The host's unmoved time, for what is real on purpose: the end of an allowance's validity, leases."""

boottime: Callable[[], float] = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
"""Seconds since boot, suspended time included; never set back. For deadlines and back-off (CLOCK_BOOTTIME, Linux).

It is asked a dozen times for a signature: a function around the system's own would cost twice as much.
"""
