"""Every event and internal HTTP message of Sinete, defined once, in the module of the service that tells or answers it.

A consumer imports what it hears from here; `contracts.topics.TOPICS` says where it travels.
"""

from contracts.access_grants import AccessGrant, Expiry, Usage, UsageDay, Warned
from contracts.allowances import (
    AllowanceCall,
    AllowanceReply,
    Answer,
    Draining,
    Expired,
    Granted,
    Settlement,
    StaleEpoch,
    Unknown,
    Want,
    WouldExceed,
)
from contracts.ca_access import CaAccessGranted, CaAccessWithdrawn
from contracts.envelope import Message, Tellable, Told, UnreadableEvent, decode, encode
from contracts.notices import NoticeFailed, NoticeSent
from contracts.registry import Account, Certificate, ClientService, Operator, TrustedClientCertificate
from contracts.signatures import SignatureApplied

__all__ = [
    "AccessGrant",
    "Account",
    "AllowanceCall",
    "AllowanceReply",
    "Answer",
    "CaAccessGranted",
    "CaAccessWithdrawn",
    "Certificate",
    "ClientService",
    "Draining",
    "Expired",
    "Expiry",
    "Granted",
    "Message",
    "NoticeFailed",
    "NoticeSent",
    "Operator",
    "Settlement",
    "SignatureApplied",
    "StaleEpoch",
    "Tellable",
    "Told",
    "TrustedClientCertificate",
    "Unknown",
    "UnreadableEvent",
    "Usage",
    "UsageDay",
    "Want",
    "Warned",
    "WouldExceed",
    "decode",
    "encode",
]
