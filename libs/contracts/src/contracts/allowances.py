"""The grant monitor's `POST /internal/v1/allowances`: a gateway's bulk call that settles blocks and asks for new ones.

See ARCHITECTURE.md, "The hard promise". The gateway makes the ids, so a repeated call gets the same answers.
"""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from contracts.envelope import Message

HOLDER_PATTERN = r"^[A-Za-z0-9._:-]{1,100}$"


class Settlement(Message):
    """A block is given back: `applied` of it were signed, or may have been."""

    allowance_id: UUID
    applied: int = Field(ge=0)


class Want(Message):
    """A block is asked for. `need` serves the longest waiting request whole; `want` all that wait and the next second."""

    allowance_id: UUID
    certificate_id: UUID
    client_service_id: UUID
    epoch: int = Field(ge=1)
    need: int = Field(ge=1, le=1_000_000)
    want: int = Field(ge=1, le=100_000_000)


class AllowanceCall(Message):
    """The request. Settlements are booked before wants are answered."""

    holder: str = Field(pattern=HOLDER_PATTERN)  # one gateway process
    settle: list[Settlement] = Field(default=[], max_length=10_000)
    want: list[Want] = Field(default=[], max_length=10_000)


class Granted(Message):
    """n signatures are set aside for `valid_for_ms` of real time from when the call was first sent."""

    kind: Literal["granted"] = "granted"
    allowance_id: UUID
    n: int = Field(ge=1)
    valid_for_ms: int = Field(ge=0)
    near: bool = False  # the limit is near: ask for nothing ahead, settle what is idle


class WouldExceed(Message):
    """Fewer than `need` are left for good: `left` of them."""

    kind: Literal["would-exceed"] = "would-exceed"
    allowance_id: UUID
    left: int = Field(ge=0)


class Draining(Message):
    """All that is left is in somebody's hand; some of it may come back."""

    kind: Literal["draining"] = "draining"
    allowance_id: UUID
    retry_after_ms: int = Field(ge=0)


class Expired(Message):
    """The grant is over."""

    kind: Literal["expired"] = "expired"
    allowance_id: UUID


class StaleEpoch(Message):
    """The certificate's grant is at another epoch now."""

    kind: Literal["stale-epoch"] = "stale-epoch"
    allowance_id: UUID
    epoch: int


class Unknown(Message):
    """The monitor knows no grant of this certificate (yet), or the id belongs to another's block."""

    kind: Literal["unknown"] = "unknown"
    allowance_id: UUID


Answer = Annotated[Granted | WouldExceed | Draining | Expired | StaleEpoch | Unknown, Field(discriminator="kind")]


class AllowanceReply(Message):
    """One answer per want, in the order asked. Every settlement in the call is booked, or the call failed as a whole."""

    answers: list[Answer]
