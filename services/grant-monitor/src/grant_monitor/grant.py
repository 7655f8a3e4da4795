"""Access grants: one epoch after the other of a certificate, each active until it expires or the next supersedes it. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Literal, NamedTuple, Self
from uuid import UUID

from contracts import AccessGrant, CaAccessGranted, Expiry, Warned
from contracts.access_grants import ExpiredReason
from grant_monitor.ledger import Ledger
from grant_monitor.warning import NOT_WARNED, Crossings, NoticeCalendar, next_daily, warned_now

TOLD_EVERY = timedelta(seconds=2)  # what is counted, at most: of real time
BEFORE_ALL = datetime(2000, 1, 1, tzinfo=UTC)  # as `told_at`, of what the next telling has to take first
Cause = Literal["opened", "warned", "expired", "superseded", "counted"]


def plausible(instant: datetime) -> bool:
    """Calendars and columns can hold it in any time zone, and so can its neighbours."""
    return 2000 <= instant.year < 9000


class Epoch(NamedTuple):
    """One permission period: its policy as stamped when it was granted, its count, its end."""

    certificate_id: UUID
    number: int
    granted_at: datetime
    expires_at: datetime  # over at this instant
    warn_before: timedelta
    warn_above_bp: int
    ledger: Ledger
    state: Literal["active", "expired", "superseded"] = "active"
    expired_reason: ExpiredReason | None = None
    warned: Warned = NOT_WARNED

    @classmethod
    def of(cls, granted: CaAccessGranted) -> Self:
        """The epoch that the connector assigned."""
        return cls(
            certificate_id=granted.certificate_id,
            number=granted.epoch,
            granted_at=granted.granted_at,
            expires_at=granted.expires_at,
            warn_before=timedelta(seconds=granted.warn_before_s),
            warn_above_bp=granted.warn_above_bp,
            ledger=Ledger(granted.usage_limit),
        )

    @property
    def active(self) -> bool:
        """Neither expired nor superseded. Whether its time is over is for `due_expiry` to say."""
        return self.state == "active"

    def due_expiry(self, now: datetime) -> Expiry | None:
        """The expiry owed at `now`. Usage ends an epoch only when all is gone for good and nothing is open."""
        if not self.active:
            return None
        if now >= self.expires_at:
            return Expiry(epoch=self.number, reason="time", at=self.expires_at)
        if self.ledger.used_up:
            return Expiry(epoch=self.number, reason="usage", at=now)
        return None

    def warning_due(self, now: datetime, calendar: NoticeCalendar) -> Warned | None:
        """The dates of the warnings given, with what is owed at `now`; None where nothing is owed, or the epoch has ended."""
        if not self.active or now >= self.expires_at or calendar.silent:
            return None
        crossings = Crossings(time=now >= self.expires_at - self.warn_before, usage=self.ledger.over(self.warn_above_bp))
        return warned_now(self.warned, crossings, now, calendar)

    def next_due(self, now: datetime, calendar: NoticeCalendar) -> datetime | None:
        """The next instant at which the clock alone makes something due; None once the epoch has ended."""
        if not self.active:
            return None
        if calendar.silent:
            return self.expires_at
        due = [self.expires_at]
        if self.warned.crossing_time is None:
            due.append(self.expires_at - self.warn_before)
        if (daily := next_daily(self.warned, now, calendar)) is not None:
            due.append(daily)
        return min(due)


class Grant(NamedTuple):
    """What a certificate's epochs have in common. `last_expired` only moves forward, whatever arrives later."""

    certificate_id: UUID
    epoch: int  # the current one
    version: int = 0  # of what was last told
    last_expired: Expiry | None = None
    next_due_at: datetime | None = None
    to_tell: bool = False  # counted since it was last told
    told_at: datetime | None = None  # the host's unmoved time

    def with_expired(self, expiry: Expiry) -> Self:
        """The newest epoch that ended is remembered; an older or repeated one changes nothing."""
        if self.last_expired is not None and self.last_expired.epoch >= expiry.epoch:
            return self
        return self._replace(last_expired=expiry)

    def told(self, cause: Cause, epoch: Epoch, calendar: NoticeCalendar) -> AccessGrant:
        """The public state, as of this version."""
        return AccessGrant(
            cause=cause,
            certificate_id=self.certificate_id,
            version=self.version,
            epoch=epoch.number,
            state=epoch.state,
            granted_at=epoch.granted_at,
            expires_at=epoch.expires_at,
            usage_limit=epoch.ledger.usage_limit,
            used=epoch.ledger.used,
            forfeited=epoch.ledger.forfeited,
            draining=epoch.active and epoch.ledger.draining,
            expired_reason=epoch.expired_reason,
            last_expired=self.last_expired,
            warned=epoch.warned,
            zone=calendar.zone.key,
            warn_before_s=round(epoch.warn_before.total_seconds()),
            warn_above_bp=epoch.warn_above_bp,
        )
