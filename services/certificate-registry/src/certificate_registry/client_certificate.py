"""A client service's TLS certificate: ordered, issued, then withdrawn or expired. Pure rules.

The contact gets a link by e-mail and a one-time password by SMS, and with them either fetches a PKCS#12 file, whose own password
follows once the file has left completely, or hands in a request (CSR), so that the key never travels.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

Status = Literal["ordered", "issued", "withdrawn", "expired"]
IssuedBy = Literal["download", "request"]
WithdrawnBy = Literal["operator", "contact", "deletion"]

WARNED_BEFORE = (30, 7, 1)
"""Days before the end at which the account's operators are warned, once each."""


class NotOrdered(Exception):
    """The certificate was issued, or the order withdrawn: nothing more can be issued for it."""


class CertificateOver(Exception):
    """The client certificate has expired by itself."""


@dataclass(frozen=True)
class Standing:
    """How a client certificate stands. `warned_days`: the last of WARNED_BEFORE that was warned of; None: none yet."""

    status: Status
    valid_until: datetime | None = None
    warned_days: int | None = None

    def issued(self, valid_until: datetime) -> "Standing":
        """With a certificate from now on. Raises NotOrdered."""
        if self.status != "ordered":
            raise NotOrdered(f"The client certificate is {self.status} already. Order a new one.")
        return Standing("issued", valid_until)

    def withdrawn(self) -> "Standing":
        """Blocked for good; an order as well as a certificate. Again, it changes nothing. Raises CertificateOver."""
        if self.status == "expired":
            raise CertificateOver("The client certificate has expired; there is nothing to withdraw.")
        return replace(self, status="withdrawn")

    def due_at(self) -> datetime | None:
        """When the calendar has to look at it next: at a warning or at its end; None where nothing is to come."""
        if self.status != "issued" or self.valid_until is None:
            return None
        to_come = [days for days in WARNED_BEFORE if self.warned_days is None or days < self.warned_days]
        return self.valid_until - timedelta(days=to_come[0] if to_come else 0)

    def passed(self, now: datetime) -> "Standing":
        """After what was due by `now`: expired, or warned of the nearest threshold; one missed further off is not made up for."""
        if self.status != "issued" or self.valid_until is None:
            return self
        if now >= self.valid_until:
            return replace(self, status="expired")
        reached = [days for days in WARNED_BEFORE if now >= self.valid_until - timedelta(days=days)]
        if not reached or (self.warned_days is not None and self.warned_days <= reached[-1]):
            return self
        return replace(self, warned_days=reached[-1])
