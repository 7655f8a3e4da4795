"""The notifier's `POST /internal/v1/messages`: a mail or an SMS to one person. One-time links and codes never ride the bus."""

from typing import Literal
from uuid import UUID

from pydantic import Field, SecretStr

from contracts.envelope import Message


class PersonalMessage(Message):
    """Told once per `id`. The body is encrypted at rest and deleted after delivery. Answer: 202 MessageAccepted."""

    id: UUID
    channel: Literal["email", "sms"]
    to: str = Field(min_length=3, max_length=320)  # an address, or a mobile number in E.164
    subject: str | None = Field(default=None, max_length=200)  # of an e-mail
    text: SecretStr = Field(max_length=20_000)
    html: SecretStr | None = Field(default=None, max_length=100_000)


class MessageAccepted(Message):
    """Where the message stands."""

    id: UUID
    status: Literal["queued", "sent", "failed"]
