"""Between the tables' rows and the domain's records."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Row

from contracts import Expiry, Warned
from grant_monitor.allowance import Allowance
from grant_monitor.grant import Epoch, Grant
from grant_monitor.ledger import Ledger

Values = dict[str, Any]


def grant_of(row: Row[Any]) -> Grant:
    """A row of access_grant."""
    expired = None
    if row.last_expired_epoch is not None:
        expired = Expiry(epoch=row.last_expired_epoch, reason=row.last_expired_reason, at=row.last_expired_at)
    return Grant(
        certificate_id=row.certificate_id,
        epoch=row.epoch,
        version=row.version,
        last_expired=expired,
        next_due_at=row.next_due_at,
        to_tell=row.to_tell,
        told_at=row.told_at,
    )


def grant_values(grant: Grant) -> Values:
    """A row of access_grant, for writing."""
    expired = grant.last_expired
    return {
        "certificate_id": grant.certificate_id,
        "epoch": grant.epoch,
        "version": grant.version,
        "last_expired_epoch": expired and expired.epoch,
        "last_expired_reason": expired and expired.reason,
        "last_expired_at": expired and expired.at,
        "next_due_at": grant.next_due_at,
        "to_tell": grant.to_tell,
        "told_at": grant.told_at,
    }


def epoch_of(row: Row[Any]) -> Epoch:
    """A row of grant_epoch."""
    return Epoch(
        certificate_id=row.certificate_id,
        number=row.epoch,
        granted_at=row.granted_at,
        expires_at=row.expires_at,
        warn_before=timedelta(seconds=row.warn_before_s),
        warn_above_bp=row.warn_above_bp,
        ledger=Ledger(row.usage_limit, row.settled, row.forfeited, row.reserved, row.counted),
        state=row.state,
        expired_reason=row.expired_reason,
        warned=Warned(crossing_time=row.crossing_time_on, crossing_usage=row.crossing_usage_on, daily=row.daily_on),
    )


def epoch_values(epoch: Epoch) -> Values:
    """A row of grant_epoch, for writing."""
    return {
        "certificate_id": epoch.certificate_id,
        "epoch": epoch.number,
        "granted_at": epoch.granted_at,
        "expires_at": epoch.expires_at,
        "warn_before_s": round(epoch.warn_before.total_seconds()),
        "warn_above_bp": epoch.warn_above_bp,
        "usage_limit": epoch.ledger.usage_limit,
        "settled": epoch.ledger.settled,
        "forfeited": epoch.ledger.forfeited,
        "reserved": epoch.ledger.reserved,
        "counted": epoch.ledger.counted,
        "state": epoch.state,
        "expired_reason": epoch.expired_reason,
        "crossing_time_on": epoch.warned.crossing_time,
        "crossing_usage_on": epoch.warned.crossing_usage,
        "daily_on": epoch.warned.daily,
    }


def allowance_of(row: Row[Any]) -> Allowance:
    """A row of allowance."""
    return Allowance(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row by column


def allowance_values(allowance: Allowance) -> Values:
    """A row of allowance, for writing."""
    return {name: getattr(allowance, name) for name in Allowance.__dataclass_fields__}
