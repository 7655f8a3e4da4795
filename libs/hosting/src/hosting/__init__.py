"""What each Sinete process needs to be one: settings, clock, database, HTTP, service tokens. No rule of the business is here."""

import gc

from hosting.clock import Clock, boottime, host_utc, utc_now

COLLECT_EVERY = (50_000, 20, 100)
"""When the cycle collector looks. At its default of 700 new objects it took a third of the time of a request."""

gc.set_threshold(*COLLECT_EVERY)  # here, before all else is imported: it took a tenth of a process's start too

__all__ = ["COLLECT_EVERY", "Clock", "boottime", "host_utc", "utc_now"]
