"""What each Sinete process needs to be one: settings, clock, database, HTTP, service tokens. No rule of the business is here."""

from hosting.clock import Clock, boottime, host_utc, utc_now

__all__ = ["Clock", "boottime", "host_utc", "utc_now"]
