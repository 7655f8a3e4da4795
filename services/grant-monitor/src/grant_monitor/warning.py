"""When a warning is owed: at once on the first crossing of a reason, then once on each later local date. Pure.

The rules are in the domain's "Time" and "Notices": besides the crossings at most one digest line per grant and local day,
none later on the day of a crossing; one missed while we were down is told once, now, and one whose day is over never.
"""

import datetime as dt
from typing import NamedTuple
from zoneinfo import ZoneInfo

from contracts import Warned

DEFAULT_ZONE = ZoneInfo("Europe/Lisbon")
NOT_WARNED = Warned()


class NoticeCalendar(NamedTuple):
    """An account's days: its time zone, and the local hour at which daily warnings are due."""

    zone: ZoneInfo = DEFAULT_ZONE
    notice_hour: int = 9
    silent: bool = False  # the certificate or its account is deleted: nobody is warned any more

    def date(self, at: dt.datetime) -> dt.date:
        """The local date of an instant."""
        return at.astimezone(self.zone).date()

    def notice_instant(self, day: dt.date) -> dt.datetime:
        """The instant, UTC, of the notice hour of a local date.

        Where clocks are set back over that hour it is the first of the two; where they skip it, as long after midnight as
        if they had not (PEP 495, fold=0).
        """
        return dt.datetime.combine(day, dt.time(self.notice_hour), self.zone).astimezone(dt.UTC)


class Crossings(NamedTuple):
    """Which thresholds are passed: `time`, within the warning window; `usage`, over the share of the limit."""

    time: bool
    usage: bool


def warned_now(warned: Warned, crossings: Crossings, now: dt.datetime, calendar: NoticeCalendar) -> Warned | None:
    """`warned` with what is owed at `now` given today; None where nothing is owed."""
    given: dict[str, dt.date] = {}
    if crossings.time and warned.crossing_time is None:
        given["crossing_time"] = calendar.date(now)
    if crossings.usage and warned.crossing_usage is None:
        given["crossing_usage"] = calendar.date(now)
    if not given:
        day = _next_day(warned, now, calendar)
        if day is None or now < calendar.notice_instant(day):
            return None
        given["daily"] = day
    return warned.model_copy(update=given)


def next_daily(warned: Warned, now: dt.datetime, calendar: NoticeCalendar) -> dt.datetime | None:
    """The instant at which the next daily warning is due, past where today's is overdue; None before any crossing."""
    day = _next_day(warned, now, calendar)
    return None if day is None else calendar.notice_instant(day)


def _next_day(warned: Warned, now: dt.datetime, calendar: NoticeCalendar) -> dt.date | None:
    """The next local date that is owed a daily warning: later than any warning given, and none that is over."""
    if warned is NOT_WARNED:  # as most are
        return None
    given = [day for day in (warned.crossing_time, warned.crossing_usage, warned.daily) if day is not None]
    return max(max(given) + dt.timedelta(days=1), calendar.date(now)) if given else None
