"""When a grant's usage limit would be reached at the rate of late. Pure."""

import datetime as dt

from contracts.grants import Forecast
from grant_monitor.grant import Epoch
from grant_monitor.warning import NoticeCalendar

DAYS = 7  # today and the six local days before


def first_day(now: dt.datetime, calendar: NoticeCalendar) -> dt.date:
    """The first of the local days that the rate is taken from."""
    return calendar.date(now) - dt.timedelta(days=DAYS - 1)


def forecast(epoch: Epoch, signatures: int, now: dt.datetime, calendar: NoticeCalendar) -> Forecast:
    """The forecast, given the signatures of the last seven local days."""
    left = epoch.ledger.left - epoch.ledger.counted
    reached = None
    if epoch.active and signatures > 0:
        days = -(-left * DAYS // signatures)
        last = calendar.date(epoch.expires_at)
        if days <= (last - calendar.date(now)).days:
            reached = calendar.date(now) + dt.timedelta(days=days)
    return Forecast(signatures_per_day=signatures / DAYS, limit_reached_on=reached)
