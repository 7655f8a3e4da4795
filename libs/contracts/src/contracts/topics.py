"""Every topic: what travels on it, how it is kept. Partitions are chosen once: a key must stay where it is."""

from dataclasses import dataclass, field

from contracts.access_grants import AccessGrant, Usage
from contracts.ca_access import CaAccessGranted, CaAccessWithdrawn
from contracts.envelope import Told
from contracts.notices import NoticeFailed, NoticeSent
from contracts.registry import Account, Certificate, ClientService, Operator
from contracts.signatures import SignatureApplied

DAY_MS = 86_400_000

STATE = {"cleanup.policy": "compact", "min.compaction.lag.ms": str(14 * DAY_MS)}
"""A state topic keeps the newest record of each key; nothing is compacted away for 14 days."""

LOG = {"cleanup.policy": "delete", "retention.ms": str(35 * DAY_MS), "retention.bytes": "-1"}
"""A log is kept longer than the longest outage we promise to survive."""


@dataclass(frozen=True)
class Topic:
    """One topic, the event types on it, and its broker configuration."""

    name: str
    types: tuple[type[Told], ...]
    config: dict[str, str]
    partitions: int = 3
    told_by: str = ""
    heard_by: tuple[str, ...] = field(default=())


TOPICS = (
    Topic(
        "accounts",
        (Account,),
        STATE,
        told_by="certificate-registry",
        heard_by=("signing-gateway", "grant-monitor", "notifier"),
    ),
    Topic("operators", (Operator,), STATE, told_by="certificate-registry", heard_by=("notifier",)),
    Topic(
        "certificates",
        (Certificate,),
        STATE,
        told_by="certificate-registry",
        heard_by=("signing-gateway", "grant-monitor", "notifier", "ca-connector"),
    ),
    Topic(
        "client-services",
        (ClientService,),
        STATE,
        told_by="certificate-registry",
        heard_by=("signing-gateway", "notifier"),
    ),
    Topic(
        "access-grants",
        (AccessGrant,),
        STATE,
        told_by="grant-monitor",
        heard_by=("signing-gateway", "certificate-registry", "notifier"),
    ),
    Topic("usage", (Usage,), STATE, told_by="grant-monitor", heard_by=("certificate-registry",)),
    Topic("ca-access", (CaAccessGranted, CaAccessWithdrawn), LOG, told_by="ca-connector", heard_by=("grant-monitor",)),
    Topic("signatures", (SignatureApplied,), LOG, partitions=6, told_by="signing-gateway", heard_by=("grant-monitor",)),
    Topic("notices", (NoticeSent, NoticeFailed), LOG, told_by="notifier", heard_by=("certificate-registry",)),
    *(
        Topic(f"dead-letters.{service}", (), LOG, partitions=1, told_by=service)
        for service in ("certificate-registry", "signing-gateway", "grant-monitor", "notifier", "ca-connector")
    ),
)

TYPES: dict[str, type[Told]] = {event.type: event for topic in TOPICS for event in topic.types}
