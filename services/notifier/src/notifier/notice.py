"""What is owed to an account's operators: which lines a grant's state makes due, when one is void, what goes into one mail.

Pure. A line is known by (certificate, epoch, kind, local date) and is decided once: taken up by a notice, or void. Every
line is derived from a grant's whole state, so tellings that come twice, late, in another order, or not at all because the
topic was compacted, give the same lines.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from contracts import AccessGrant
from contracts.notices import NoticeKind

VoidReason = Literal[
    "day-over", "epoch-ended", "renewed", "before-our-time", "certificate-deleted", "account-deleted", "recipient-gone"
]

WARNINGS: frozenset[NoticeKind] = frozenset({"crossing-time", "crossing-usage", "daily"})

DIGEST_WINDOW = timedelta(seconds=10)
"""Daily lines of one account and date that are heard within this much real time of the first share a mail."""

SETTLING = timedelta(seconds=2)
"""Real time before a line is taken up: what the other topics said of certificate and operators has arrived by then."""


@dataclass(frozen=True)
class Line:
    """One thing to be told about one grant epoch on one local day. `owed_until` is the end of that day, exclusive, UTC."""

    certificate_id: UUID
    epoch: int
    kind: NoticeKind
    local_date: date
    owed_until: datetime


@dataclass(frozen=True)
class OpenLine:
    """A line that is neither taken up nor void. `heard_at` is the host's unmoved time."""

    line_id: int
    line: Line
    heard_at: datetime


@dataclass(frozen=True)
class Bundle:
    """The lines that one notice takes up."""

    kind: NoticeKind
    local_date: date
    lines: tuple[OpenLine, ...]


def day_end(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which `day` is over in `zone`, in UTC. Also right where the next day has no midnight, or was skipped."""
    return datetime.combine(day + timedelta(days=1), time(0), tzinfo=zone).astimezone(UTC)


def lines_of(grant: AccessGrant) -> list[Line]:
    """Every line that this state of the grant makes due, whatever the cause of its telling."""
    zone = ZoneInfo(grant.zone)
    found: list[tuple[int, NoticeKind, date | None]] = [
        (grant.epoch, "crossing-time", grant.warned.crossing_time),
        (grant.epoch, "crossing-usage", grant.warned.crossing_usage),
        (grant.epoch, "daily", grant.warned.daily),
    ]
    if grant.last_expired is not None:
        found.append((grant.last_expired.epoch, "expired", grant.last_expired.at.astimezone(zone).date()))
    if grant.epoch > 1 and grant.state == "active":
        found.append((grant.epoch, "renewed", grant.granted_at.astimezone(zone).date()))
    return [Line(grant.certificate_id, epoch, kind, day, day_end(day, zone)) for epoch, kind, day in found if day is not None]


def void_reason(line: Line, newest: AccessGrant, *, now: datetime, begun_at: datetime) -> VoidReason | None:
    """Why `line` may not be mailed at `now`, or None. Asked when it is heard, when it is taken up and before every sending.

    `newest` is the newest known state of the line's grant, `begun_at` when this notifier's ledger began. A warning is for
    its own local day. An expiry or a renewal is told however late, since nothing else tells it; only what was over and done
    before the ledger began is history, not news (a new notifier that reads old topics).
    """
    ended_epoch = newest.last_expired.epoch if newest.last_expired else 0
    renewed_since = newest.epoch > line.epoch
    if line.kind == "expired":
        if renewed_since:
            return "renewed"
    elif renewed_since or ended_epoch >= line.epoch or newest.state != "active" or now >= newest.expires_at:
        return "epoch-ended"
    if line.kind in WARNINGS:
        return "day-over" if now >= line.owed_until else None
    return "before-our-time" if line.owed_until <= begun_at else None


def bundles(lines: Iterable[OpenLine], host_now: datetime) -> list[Bundle]:
    """What is to be taken up now: each crossing, expiry and renewal in a mail of its own, the daily lines of a date together.

    A daily line that comes after the window of the first begins a window of its own.
    """
    ready: list[Bundle] = []
    digests: dict[date, list[OpenLine]] = {}
    for each in sorted(lines, key=lambda one: (one.heard_at, one.line_id)):
        if each.line.kind == "daily":
            digests.setdefault(each.line.local_date, []).append(each)
        elif host_now - each.heard_at >= SETTLING:
            ready.append(Bundle(each.line.kind, each.line.local_date, (each,)))
    for day, waiting in digests.items():
        first = waiting[0].heard_at
        if host_now - first >= DIGEST_WINDOW:
            ready.append(Bundle("daily", day, tuple(one for one in waiting if one.heard_at - first <= DIGEST_WINDOW)))
    return ready


@dataclass(frozen=True)
class Recipient:
    """An operator as far as mails go."""

    operator_id: UUID
    name: str
    email: str
    language: str
    role: str
    status: str


def recipients(operators: Sequence[Recipient]) -> list[Recipient]:
    """Of an account's operators those who are mailed: the active issuers."""
    return [one for one in operators if one.status == "active" and one.role == "issuer"]


@dataclass(frozen=True)
class Service:
    """A client service as far as mails go."""

    name: str
    status: str
    reason: str | None
    activated_for_epoch: int


def suspended(services: Iterable[Service], ended_epoch: int) -> list[str]:
    """Names of the client services that stand still because access ended with `ended_epoch` or before.

    Derived from the epoch, so that it does not matter whether the registry has already told their suspension.
    """
    return sorted(
        one.name
        for one in services
        if (one.status == "active" and one.activated_for_epoch <= ended_epoch)
        or (one.status == "inactive" and one.reason == "access-expired")
    )


def activated(services: Iterable[Service], epoch: int) -> list[str]:
    """Names of the client services that were activated in `epoch` already, before the mail about it was written."""
    return sorted(one.name for one in services if one.status == "active" and one.activated_for_epoch == epoch)
