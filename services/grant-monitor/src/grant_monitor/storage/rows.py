"""Between the tables' rows and the domain's records. A row has the values of all columns, in the table's order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Table

from contracts import Expiry, Warned
from grant_monitor.grant import Epoch, Grant
from grant_monitor.ledger import Ledger
from grant_monitor.storage.arrays import Way
from grant_monitor.storage.tables import ACCESS_GRANT, ALLOWANCE, GRANT_EPOCH
from grant_monitor.warning import NOT_WARNED

Values = tuple[Any, ...]


class Kept:
    """How the records of a table are written: with all their columns, or those where only `often` changed with these."""

    def __init__(self, table: Table, values: Callable[[Any], Values], *often: str) -> None:
        names, keys = tuple(table.c.keys()), table.primary_key.columns.keys()
        short = tuple(name for name in names if name in {*keys, *often})
        self.values = values
        self._short = itemgetter(*(names.index(name) for name in short))
        self._rest = itemgetter(*(n for n, name in enumerate(names) if name not in short))
        self.new, self.whole, self.short = Way("insert", table, names), Way("update", table, names), Way("update", table, short)

    def changes(self, before: Mapping[Any, Any], after: Mapping[Any, Any]) -> Iterator[tuple[Way, list[Values]]]:
        """What to write. Records are immutable, so one that is the same was not touched."""
        new, whole, short = [], [], []
        for key, record in after.items():
            was = before.get(key)
            if was is record:
                continue
            row = self.values(record)
            if was is None:
                new.append(row)
            elif self._rest(row) == self._rest(self.values(was)):
                short.append(self._short(row))
            else:
                whole.append(row)
        yield from ((self.new, new), (self.whole, whole), (self.short, short))


def grant_of(row: Sequence[Any]) -> Grant:
    """A row of access_grant."""
    certificate_id, epoch, version, expired_epoch, expired_reason, expired_at, next_due_at, to_tell, told_at = row
    expired = None
    if expired_epoch is not None:
        expired = Expiry(epoch=expired_epoch, reason=expired_reason, at=expired_at)
    return Grant(certificate_id, epoch, version, expired, next_due_at, to_tell, told_at)


def grant_values(grant: Grant) -> Values:
    """A row of access_grant, for writing."""
    certificate_id, epoch, version, expired, *rest = grant
    return certificate_id, epoch, version, *((expired.epoch, expired.reason, expired.at) if expired else NEVER), *rest


def epoch_of(row: Sequence[Any]) -> Epoch:
    """A row of grant_epoch; what may follow it is for others."""
    certificate_id, number, granted_at, expires_at, warn_before_s, warn_above_bp = row[:6]
    limit, settled, forfeited, reserved, counted, state, reason, crossing_time, crossing_usage, daily = row[6:16]
    ledger = Ledger(limit, settled, forfeited, reserved, counted)
    warned = _warned(crossing_time, crossing_usage, daily)
    warn_before = timedelta(seconds=warn_before_s)
    return Epoch(certificate_id, number, granted_at, expires_at, warn_before, warn_above_bp, ledger, state, reason, warned)


def epoch_values(epoch: Epoch) -> Values:
    """A row of grant_epoch, for writing."""
    certificate_id, number, granted_at, expires_at, warn_before, warn_above_bp, ledger, state, reason, warned = epoch
    policy = granted_at, expires_at, round(warn_before.total_seconds()), warn_above_bp
    return certificate_id, number, *policy, *ledger, state, reason, warned.crossing_time, warned.crossing_usage, warned.daily


@lru_cache(1024)
def _warned(crossing_time: date | None, crossing_usage: date | None, daily: date | None) -> Warned:
    if crossing_time is crossing_usage is daily is None:
        return NOT_WARNED
    return Warned(crossing_time=crossing_time, crossing_usage=crossing_usage, daily=daily)


EPOCH_COLUMNS = len(GRANT_EPOCH.c)
NEVER = None, None, None
GRANTS = Kept(ACCESS_GRANT, grant_values, "version", "next_due_at", "to_tell", "told_at")
EPOCHS = Kept(GRANT_EPOCH, epoch_values, "settled", "forfeited", "reserved", "counted")
ALLOWANCES = Kept(ALLOWANCE, tuple, "applied", "state")
