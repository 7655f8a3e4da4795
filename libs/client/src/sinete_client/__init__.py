"""Signs through a Sinete gateway.

    with Client("https://gateway.example", client_id="cs-…", client_secret=secret) as client:
        (credential,) = client.credentials()
        (signature,) = client.sign_hashes(credential.id, [hashlib.sha256(data).digest()])
        (signed,) = client.sign_pdfs(credential.id, [pdf], level="B-T")

Every signing call carries an idempotency key and is retried under it, so that a lost answer costs no second signature. Errors
are in `sinete_client.refusals`.
"""

from sinete_client.asking import Retries
from sinete_client.clients import AsyncClient, Client
from sinete_client.identity import ClientCertificate
from sinete_client.messages import Appearance, Credential, HashName, Level
from sinete_client.refusals import (
    Misused,
    NoAnswer,
    NotAuthenticated,
    NotPermitted,
    NotReached,
    OutcomeUnknown,
    Refused,
    SineteError,
    TryAgainLater,
    Unreadable,
    WouldExceedLimit,
)

__all__ = [
    "Appearance",
    "AsyncClient",
    "Client",
    "ClientCertificate",
    "Credential",
    "HashName",
    "Level",
    "Misused",
    "NoAnswer",
    "NotAuthenticated",
    "NotPermitted",
    "NotReached",
    "OutcomeUnknown",
    "Refused",
    "Retries",
    "SineteError",
    "TryAgainLater",
    "Unreadable",
    "WouldExceedLimit",
]
