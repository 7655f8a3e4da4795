"""What each Sinete process needs to be one: settings, clock, database, HTTP, service tokens. No rule of the business is here."""

import gc

from hosting.clock import Clock, boottime, host_utc, utc_now

COLLECT_EVERY = (20_000, 2, 1_000)
"""When the cycle collector looks. At its default of 700 new objects it took a third of the time of a request.

What it looks through at a time stays small, since nobody is answered meanwhile: a million objects take a second.
"""

gc.set_threshold(*COLLECT_EVERY)  # here, before all else is imported: it took a tenth of a process's start too

__all__ = ["COLLECT_EVERY", "Clock", "boottime", "host_utc", "utc_now"]
