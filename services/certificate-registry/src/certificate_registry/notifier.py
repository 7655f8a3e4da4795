"""The notifier's internal API, as far as the registry calls it."""

from contracts.messages import MessageAccepted, PersonalMessage
from hosting.calls import InternalCalls


class Notifier:
    """Raises hosting's CallRefused, CallNotSent or CallOutcomeUnknown."""

    def __init__(self, calls: InternalCalls) -> None:
        self._calls = calls

    async def take(self, message: PersonalMessage) -> MessageAccepted:
        """Hands a message over; again, under the same id, it changes nothing."""
        return await self._calls.post("/internal/v1/messages", message, MessageAccepted)
