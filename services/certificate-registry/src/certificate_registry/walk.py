"""An operator's walk to a CA and back: a registration or a renewal. Pure rules of its ticket and of the codes it asks for."""

import hmac
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal
from urllib.parse import quote
from uuid import UUID

from contracts.ca_connector import Authorisation

Kind = Literal["registration", "renewal"]
Status = Literal["awaiting-ca", "awaiting-credential", "awaiting-authorisation", "completed", "failed", "cancelled"]
OPEN: tuple[Status, ...] = ("awaiting-ca", "awaiting-credential", "awaiting-authorisation")

TICKET_GOOD_FOR = timedelta(minutes=2)
SETTLES_AFTER = timedelta(seconds=5)
NOT_BEGUN_AFTER = timedelta(minutes=1)
"""A walk that the connector does not know this long after we asked for it was never begun there."""
CALLBACK_LOST_AFTER = timedelta(minutes=3)
"""A walk that the connector still awaits this long after its callback came to us has lost its code to a crash."""


class WalkOver(Exception):
    """The walk has ended."""


class CodeRefused(Exception):
    """The code that was typed did not do. Never carries it."""

    def __init__(self, reason: str, attempts_left: int | None) -> None:
        super().__init__(
            _REFUSED.get(reason) or ADVICE.get(reason) or "The certificate authority did not accept this. Begin again."
        )
        self.reason, self.attempts_left = reason, attempts_left


_REFUSED = {
    "wrong-otp": "This is not the code the certificate authority sent. Type the newest one, or have it sent again.",
    "wrong-pin": "This PIN is wrong. Check it before the next try: the certificate authority locks it after a few.",
    "wrong-codes": "At least one of the codes is wrong. Check them, or have a new one sent.",
    "code-missing": "Type every code that is asked for.",
    "code-expired": "The time for the code is over. Have a new one sent.",
    "locked": "The certificate authority has locked the credential. Ask its support; the renewal has failed.",
}

ADVICE = {
    "access-denied": "Access was not permitted at the certificate authority.",
    "wrong-account": "Another account or key was chosen at the certificate authority. Log in there with the account that holds "
    "this certificate.",
    "credential-disabled": "The certificate authority has disabled this credential. Ask its support.",
    "cancelled-by-operator": "It was cancelled in the platform.",
    "credential-taken": "This credential is registered already. Choose another one.",
    "certificate-expired": "The certificate itself has expired. Have the certificate authority issue it again.",
    "certificate-unusable": "The certificate authority offers no usable certificate for this credential. Ask its support.",
    "issuer-mismatch": "The answer did not come from the certificate authority that was asked. Begin again; tell the platform's "
    "support if it happens twice.",
    "access-withdrawn": "The access at the certificate authority is over. Begin again: it will ask you to log in there.",
    "locked": "The certificate authority has locked the credential after too many wrong codes. Ask its support.",
    "renewed-by-another-operator": "Another operator renewed this certificate meanwhile. There is nothing left to do.",
    "timed-out": "It was not finished in time. Begin again.",
    "interrupted": "It was interrupted before the outcome was certain. Begin again.",
    "not-begun": "It never reached the certificate authority. Begin again.",
    "ca-unavailable": "The certificate authority did not answer. Begin again in a few minutes.",
    "ca-refused": "The certificate authority refused. Check the client account there, then begin again.",
    "client-rejected": "The certificate authority does not accept this platform's own login. The platform's support has to act.",
}


def ticket_of(key: bytes, walk_id: UUID) -> str:
    """The one-use ticket of a walk: 256 bits that only a holder of `key` can make, so that only its digest is stored."""
    return hmac.new(key, b"ca-authorisation-ticket:" + walk_id.bytes, sha256).hexdigest()


def authorization_url(public_url: str, ticket: str) -> str:
    """Our own URL, handed to the operator; opening it binds the browser and goes on to the CA."""
    return f"{public_url}/ca/authorisations/{quote(ticket)}"


def refused_code(outcome: Authorisation) -> CodeRefused | None:
    """The refusal in an answer to codes, or None where the walk went on."""
    stays = outcome.status == "awaiting-authorisation" and outcome.reason
    if stays or outcome.status == "failed":
        return CodeRefused(outcome.reason or "ca-refused", outcome.attempts_left)
    return None


def code_refused_with(facts: Mapping[str, object]) -> CodeRefused | None:
    """The refusal of a code, from the facts the connector gave with its own refusal; None where it is about something else."""
    reason, left = facts.get("reason"), facts.get("attempts_left")
    if not isinstance(reason, str):
        return None
    return CodeRefused(reason, left if isinstance(left, int) else None)


def ticket_holds(good_until: datetime | None, now: datetime) -> bool:
    """A ticket is good until its end and until it is used."""
    return good_until is not None and now < good_until
