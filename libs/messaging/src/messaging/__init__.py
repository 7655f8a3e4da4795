"""The only code of Sinete that knows Kafka's details."""

from typing import TYPE_CHECKING, Any

from messaging.outbox import EventTooLarge, outbox, put, put_tombstone, retell
from messaging.records import Heard
from messaging.relay import Relay
from messaging.state_topics import StateTopics
from messaging.teller import NotTold, Teller

if TYPE_CHECKING:
    from messaging.hearing import Hearing, NotHearing

__all__ = [
    "EventTooLarge",
    "Heard",
    "Hearing",
    "NotHearing",
    "NotTold",
    "Relay",
    "StateTopics",
    "Teller",
    "outbox",
    "put",
    "put_tombstone",
    "retell",
]


def __getattr__(name: str) -> Any:
    """Imports `hearing` when it is asked for (PEP 562): FastStream is no part of a gateway, which hears in no group."""
    if name in {"Hearing", "NotHearing"}:
        from messaging import hearing

        return getattr(hearing, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
