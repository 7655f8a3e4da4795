"""A client service's standing: may it sign, since which epoch, and if not, why. Pure rules.

A service signs only while it is active and its `activated_for_epoch` exceeds the certificate's `last_expired.epoch`, so
suspending it here is the bookkeeping of what the gateway already refuses.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from contracts import AccessGrant

Reason = Literal["created", "operator", "access-expired"]


class GrantNotActive(Exception):
    """The certificate's access grant is not active, so nothing can be activated on it."""


@dataclass(frozen=True)
class Standing:
    """Status, the reason of an inactive one, and the epoch that was current when it was last activated (0: never)."""

    status: Literal["active", "inactive"]
    reason: Reason | None
    activated_for_epoch: int = 0

    def activated(self, grant: AccessGrant | None, now: datetime) -> "Standing":
        """Active from now on, for the current epoch. Raises GrantNotActive, saying why."""
        if refusal := why_not_active(grant, now):
            raise GrantNotActive(refusal)
        assert grant is not None
        return Standing("active", None, grant.epoch)

    def deactivated(self) -> "Standing":
        """Inactive because an operator says so: no renewal and no suspension changes that reason."""
        return replace(self, status="inactive", reason="operator")

    def moved(self, grant: AccessGrant | None, now: datetime) -> "Standing":
        """Bound to another certificate, whose grant this is: stamped with its epoch, or suspended where it has ended."""
        if why_not_active(grant, now) is None:
            assert grant is not None
            return replace(self, activated_for_epoch=grant.epoch)
        if self.status == "active":
            return Standing("inactive", "access-expired", 0)
        return replace(self, activated_for_epoch=0)

    def suspended(self, last_expired_epoch: int) -> "Standing":
        """After that epoch ended: inactive if it was activated for it or an earlier one. Told again, it changes nothing."""
        if self.status == "active" and self.activated_for_epoch <= last_expired_epoch:
            return replace(self, status="inactive", reason="access-expired")
        return self


def created(grant: AccessGrant | None, now: datetime) -> Standing:
    """A new service starts active on an active grant, inactive otherwise."""
    if why_not_active(grant, now) is None:
        assert grant is not None
        return Standing("active", None, grant.epoch)
    return Standing("inactive", "created", 0)


def why_not_active(grant: AccessGrant | None, now: datetime) -> str | None:
    """Why nothing may be activated on this grant at `now`, as a sentence that says what to do; None where it may.

    Judged by the state that was told and by our own clock: the teller being down never extends a grant.
    """
    if grant is None:
        return "The certificate has no access grant yet. Finish its registration at the certificate authority first."
    if grant.state == "active" and now >= grant.expires_at:
        return f"The access grant expired by time on {_utc(grant.expires_at)}. Renew it first."
    if grant.state == "active":
        return None
    if grant.state == "superseded":
        return "The access grant is being replaced by its renewal. Try again in a moment."
    ended = grant.last_expired.at if grant.last_expired else grant.expires_at
    return f"The access grant expired by {_WHY[grant.expired_reason or 'time']} on {_utc(ended)}. Renew it first."


_WHY = {"time": "time", "usage": "usage (its limit is reached)", "revoked": "revocation of the access"}


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
