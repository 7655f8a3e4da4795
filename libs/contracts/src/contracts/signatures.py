"""What the signing gateway tells: signatures applied. A log, keyed by certificate id."""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from contracts.envelope import Told


class SignatureApplied(Told):
    """`count` signatures were applied, or may have been: the outcome of a call that timed out is unknown and stays charged.

    `total` is cumulative per allowance, so a lost event is healed by the next and a repeated one changes nothing. The
    instant is `ce_time`. Heard by: grant-monitor (counts).
    """

    topic: ClassVar[str] = "signatures"
    type: ClassVar[str] = "signature-applied.v1"
    key_field: ClassVar[str] = "certificate_id"

    certificate_id: UUID
    epoch: int = Field(ge=1)
    client_service_id: UUID
    allowance_id: UUID
    first: int = Field(ge=0)  # number of the first of these within the allowance, from 0
    count: int = Field(ge=1)
    total: int = Field(ge=1)  # applied of this allowance so far, these included
    outcome: Literal["applied", "unknown"]
