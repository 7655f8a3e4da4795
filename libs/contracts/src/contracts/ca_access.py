"""What the CA connector tells: that a CA gave access to a certificate, or took it away. A log, keyed by certificate id."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field

from contracts.envelope import Told


class CaAccessGranted(Told):
    """Access was given: the next epoch begins, under the policy stamped into it here.

    Heard by: grant-monitor (opens exactly this epoch).
    """

    topic: ClassVar[str] = "ca-access"
    type: ClassVar[str] = "ca-access-granted.v1"
    key_field: ClassVar[str] = "certificate_id"

    certificate_id: UUID
    epoch: int = Field(ge=1)
    granted_at: AwareDatetime  # when our token request was sent
    expires_at: AwareDatetime  # min(policy, the CA's own expiry, the certificate's notAfter)
    usage_limit: int = Field(ge=1)  # signatures
    warn_before_s: int = Field(ge=0)
    warn_above_bp: int = Field(ge=0, le=10_000)  # basis points of usage_limit, strictly above


class CaAccessWithdrawn(Told):
    """Access of this epoch is gone before its time: withdrawn at the CA, or given up by an operator.

    Heard by: grant-monitor (expires the epoch with reason `revoked`).
    """

    topic: ClassVar[str] = "ca-access"
    type: ClassVar[str] = "ca-access-withdrawn.v1"
    key_field: ClassVar[str] = "certificate_id"

    certificate_id: UUID
    epoch: int = Field(ge=1)
    withdrawn_at: AwareDatetime
    by: Literal["certificate-authority", "operator"]
