"""What goes over the wire for every signature, by msgspec: the classes of `contracts`, at a tenth of their cost.

Tests hold each against its pydantic class, which is the truth.
"""

from typing import ClassVar, Literal
from uuid import UUID

import msgspec

_ENCODER = msgspec.json.Encoder()


class SignItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """`contracts.ca_connector.SignItem`. `item_id` is the text of a UUID."""

    item_id: str
    certificate_id: UUID
    epoch: int
    hashes: list[str]  # base64
    hash_algorithm_oid: str
    sign_algorithm_oid: str
    sign_algorithm_params: str | None = None  # base64 DER (RSASSA-PSS)
    traced: bool = False


class SignCall(msgspec.Struct, frozen=True):
    """`contracts.ca_connector.SignCall`."""

    items: list[SignItem]

    def body(self) -> bytes:
        """JSON."""
        return _ENCODER.encode(self)


class SignResult(msgspec.Struct, frozen=True):
    """`contracts.ca_connector.SignResult`."""

    item_id: str
    outcome: Literal["signed", "refused", "unknown"]
    signatures: list[str] = []
    reason: str | None = None
    detail: str | None = None


_RESULT = msgspec.json.Decoder(SignResult)


def results(lines: bytes) -> list[SignResult]:
    """Whole lines of JSON, a result each. Raises msgspec.DecodeError."""
    return _RESULT.decode_lines(lines)


class SignatureApplied(msgspec.Struct, frozen=True):
    """`contracts.SignatureApplied`, as `messaging.Teller` tells it."""

    topic: ClassVar[str] = "signatures"
    type: ClassVar[str] = "signature-applied.v1"

    certificate_id: UUID
    epoch: int
    client_service_id: UUID
    allowance_id: UUID
    first: int
    count: int
    total: int
    outcome: Literal["applied", "unknown"]

    @property
    def key(self) -> str:
        """The certificate's id."""
        return str(self.certificate_id)

    def body(self) -> bytes:
        """JSON."""
        return _ENCODER.encode(self)
