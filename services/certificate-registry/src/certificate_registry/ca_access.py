"""`ca_access`: what a certificate's page says of its access grant. Pure."""

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel

from contracts import AccessGrant


class CaAccess(BaseModel):
    """The grant as operators see it: `none`, `active` or `expired`; an epoch that a renewal replaced is never shown as such."""

    state: Literal["none", "active", "expired"]
    expired_reason: Literal["time", "usage", "revoked"] | None = None
    epoch: int | None = None
    granted_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None  # "Certificate access expiration date"
    used: int = 0  # signatures, settled and applied
    forfeited: int = 0  # signatures charged whose outcome nobody knows
    usage_limit: int | None = None
    usage_share: float = 0.0  # used ÷ usage_limit, 0 to 1


def shown(grant: AccessGrant | None, now: datetime) -> CaAccess:
    """The grant at `now`. One whose end has passed is shown as expired even while nobody has told so yet."""
    if grant is None:
        return CaAccess(state="none")
    expired = grant.state == "expired"
    reason = grant.expired_reason if expired else None
    if not expired and now >= grant.expires_at:
        expired, reason = True, "time"
    return CaAccess(
        state="expired" if expired else "active",
        expired_reason=(reason or "time") if expired else None,
        epoch=grant.epoch,
        granted_at=grant.granted_at,
        expires_at=grant.expires_at,
        used=grant.used,
        forfeited=grant.forfeited,
        usage_limit=grant.usage_limit,
        usage_share=grant.used / grant.usage_limit,
    )
