"""The only code of Sinete that knows Kafka's details."""

from messaging.hearing import Hearing, NotHearing
from messaging.outbox import EventTooLarge, outbox, put, put_tombstone, retell
from messaging.records import Heard
from messaging.relay import Relay
from messaging.state_topics import StateTopics
from messaging.teller import NotTold, Teller

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
