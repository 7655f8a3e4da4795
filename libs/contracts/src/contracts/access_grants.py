"""What the grant monitor tells: the whole state of a grant, and how much each client service used of it."""

import datetime as dt
from typing import ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from contracts.envelope import Message, Told

ExpiredReason = Literal["time", "usage", "revoked"]


class Expiry(Message):
    """The newest epoch of a certificate that has expired, why and when. It only moves forward."""

    epoch: int = Field(ge=1)
    reason: ExpiredReason
    at: AwareDatetime


class Warned(Message):
    """The local date on which each warning of this epoch was last given, or None."""

    crossing_time: dt.date | None = None
    crossing_usage: dt.date | None = None
    daily: dt.date | None = None


class AccessGrant(Told):
    """The whole public state of one certificate's access grant, told whenever it changes. Keyed by certificate id.

    Heard by: signing-gateway (may it sign), certificate-registry (suspends), notifier (mails).
    """

    topic: ClassVar[str] = "access-grants"
    type: ClassVar[str] = "access-grant.v1"
    key_field: ClassVar[str] = "certificate_id"

    cause: Literal["opened", "warned", "expired", "superseded", "counted"]
    certificate_id: UUID
    version: int = Field(ge=1)  # rises with every telling; a consumer keeps the highest
    epoch: int = Field(ge=1)
    state: Literal["active", "expired", "superseded"]
    granted_at: AwareDatetime
    expires_at: AwareDatetime  # UTC; the grant is over at this instant
    usage_limit: int = Field(ge=1)
    used: int = Field(ge=0)  # signatures, settled and applied
    forfeited: int = Field(ge=0)  # charged, outcome never told
    draining: bool  # all is handed out, something is still open
    expired_reason: ExpiredReason | None = None  # of this epoch
    last_expired: Expiry | None = None  # the newest epoch that ended, why and when
    warned: Warned = Warned()  # in this epoch
    zone: str = "Europe/Lisbon"  # the zone the local dates of `warned` are in
    warn_before_s: int = Field(default=604_800, ge=0)
    warn_above_bp: int = Field(default=9_000, ge=0, le=10_000)


class UsageDay(Message):
    """Signatures of one client service on one date of its account's time zone."""

    date: dt.date
    signatures: int = Field(ge=0)


class Usage(Told):
    """How much one client service signed: in all, and on each of the last days. Keyed by client service id.

    Heard by: certificate-registry (shows it).
    """

    topic: ClassVar[str] = "usage"
    type: ClassVar[str] = "usage.v1"
    key_field: ClassVar[str] = "client_service_id"

    cause: Literal["counted"] = "counted"
    client_service_id: UUID
    version: int = Field(ge=1)
    certificate_id: UUID  # the one it signed with last
    total: int = Field(ge=0)
    days: list[UsageDay]  # newest first, at most 92
