"""Why the gateway does not do what it is asked, in plain words that say what to do. `routes.answers` maps each to its answer."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from cryptography import x509
from cryptography.x509.oid import NameOID


class Refused(Exception):
    """The root of all refusals here. `str()` is the sentence a client is shown, `facts` what software may read of it."""

    facts: Mapping[str, str | int] = {}
    retry_after: int | None = None
    """Seconds after which the same request may be sent again; None when it would be refused again."""


class PassesByItself(Refused):
    """Nothing is wrong with the request: the same one may be sent again after `retry_after` seconds."""

    def __init__(self, text: str, *, retry_after: int = 2) -> None:
        super().__init__(text)
        self.retry_after = retry_after


# What was sent


class InvalidRequest(Refused):
    """The request cannot be read or breaks a rule of the API."""


class CredentialUnknown(InvalidRequest):
    """No such credential, or another client service's: one answer for both, so that ids cannot be probed."""

    def __init__(self) -> None:
        super().__init__("Invalid parameter credentialID")


class BodyTooLarge(Refused):
    """The body is larger than the gateway reads."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The body is larger than {limit} bytes. Send less in one request.")


class KeyReused(Refused):
    """The Idempotency-Key came with another request before."""

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used for another request. Send a new key, or the same request as before.")


class KeyUnderWay(Refused):
    """A request with this Idempotency-Key is being served at this moment."""

    retry_after = 1

    def __init__(self) -> None:
        super().__init__(
            "A request with this Idempotency-Key is under way. Send the same request again in a moment for its answer."
        )


class ActivationUnknown(InvalidRequest):
    """No such SAD, one of another client service or credential, or one that is spent."""

    def __init__(self) -> None:
        super().__init__("Invalid parameter SAD")


class ActivationExpired(InvalidRequest):
    """The SAD's hour is over."""

    def __init__(self) -> None:
        super().__init__("SAD expired")


class ActivationTooSmall(InvalidRequest):
    """The SAD was authorised for fewer signatures than this request needs."""

    def __init__(self, left: int) -> None:
        super().__init__(f"Numbers of signatures is too high: {left} left in this SAD")
        self.facts = {"left": left}


class HashNotActivated(InvalidRequest):
    """The SAD was authorised for other hashes, or for another hash algorithm."""

    def __init__(self) -> None:
        super().__init__("Hash is not authorized by the SAD.")


class RequestUnknown(InvalidRequest):
    """No such request to poll for, or another client service's, or one whose answer is kept no longer."""

    def __init__(self) -> None:
        super().__init__("Invalid parameter requestID")


# Who sent it


class TokenInvalid(Refused):
    """No access token, or one that does not hold."""


class TooManyWaiting(Refused):
    """The client service has as many orders waiting to be signed as it may."""

    retry_after = 5

    def __init__(self, most: int) -> None:
        super().__init__(
            f"{most} requests of this client service wait to be signed already. This one was not accepted. Send it again later."
        )


# Whether it may sign


class GrantExpired(Refused):
    """The access grant is over. `at` is when it ended, where that is known."""

    why = ""

    def __init__(self, at: datetime | None = None) -> None:
        when = f" on {at:%Y-%m-%dT%H:%M:%SZ}" if at else ""
        super().__init__(
            f"Access to this certificate has expired{when}{self.why}. An operator of the account has to renew it at the"
            " certificate authority and activate this client service again."
        )
        self.at = at


class GrantUsedUp(GrantExpired):
    """The access grant is over because all its signatures were made."""

    why = ", its usage limit was reached"


class AccessWithdrawn(GrantExpired):
    """The access was given up by an operator, or withdrawn at the certificate authority, before its time."""

    why = ", it was given up or withdrawn"


def grant_over(reason: str | None, at: datetime | None = None) -> GrantExpired:
    """The refusal for a grant that ended for `reason`: time, usage or revoked."""
    kinds: dict[str | None, type[GrantExpired]] = {"usage": GrantUsedUp, "revoked": AccessWithdrawn}
    return kinds.get(reason, GrantExpired)(at)


class LimitExceeded(Refused):
    """No signature is left in this grant."""

    def __init__(self) -> None:
        super().__init__(
            "The usage limit of the access grant is reached. An operator of the account has to renew the access to this"
            " certificate."
        )


class WouldExceedLimit(Refused):
    """Some signatures are left, fewer than this request needs. It was not served in part."""

    def __init__(self, left: int) -> None:
        super().__init__(
            f"This request would exceed the usage limit of the access grant: {left} left. Send at most {left} hashes, or have"
            " an operator renew the access."
        )
        self.left = left
        self.facts = {"left": left}


class ServiceInactive(Refused):
    """The client service may not sign until an operator activates it."""

    def __init__(self, reason: Literal["created", "operator", "access-expired"] | None) -> None:
        why = {
            "created": "it has not been activated yet",
            "operator": "an operator made it inactive",
            "access-expired": "the access to its certificate expired since it was last activated",
        }.get(reason or "", "it was made inactive")
        super().__init__(f"This client service is inactive: {why}. An operator of the account has to activate it.")
        self.reason = reason
        self.facts = {"reason": reason} if reason else {}


class CertificateInactive(Refused):
    """An operator made the certificate inactive, or deleted it."""

    def __init__(self) -> None:
        super().__init__("The certificate of this client service is inactive. An operator of the account has to activate it.")


class CertificateOver(InvalidRequest):
    """The certificate itself has expired (CSC v2 §11.10). No renewal of its access helps: the owner needs a new certificate."""

    def __init__(self, subject: str) -> None:
        super().__init__(f"Signing certificate '{organisation_and_name(subject)}' is expired.")


class AccountNotActive(Refused):
    """The account is suspended, blocked, deleted or not yet approved."""

    def __init__(self, status: str) -> None:
        super().__init__(f"The account of this client service is {status}. Its owner has to contact the platform.")
        self.status = status
        self.facts = {"status": status}


class RateExceeded(Refused):
    """The client service sent more requests than it may. `headers` tell it of its rate."""

    said = "This client service sends too many requests. Nothing was signed. Send it again later."

    def __init__(self, retry_after: int, headers: list[tuple[bytes, bytes]]) -> None:
        super().__init__(self.said)
        self.retry_after, self.headers = retry_after, headers


# What the certificate authority said


class AuthorityRefused(Refused):
    """The certificate authority certainly made no signature, and would not for this request."""


class AccessRefused(AuthorityRefused):
    """The certificate authority refuses access to the certificate."""


# What passes by itself


class Draining(PassesByItself):
    """All signatures that are left are set aside for requests under way; some may come back."""

    def __init__(self) -> None:
        super().__init__("All signatures left in the grant are set aside for requests under way. Try again.", retry_after=1)


class MonitorAway(PassesByItself):
    """No allowance is in hand and none can be had."""

    def __init__(self) -> None:
        super().__init__("The signature could not be set aside in the access grant just now. Nothing was signed. Try again.")


class GrantNotKnown(PassesByItself):
    """The news of this certificate's grant has not arrived."""

    def __init__(self) -> None:
        super().__init__("The access grant of this certificate is not known here yet. Nothing was signed. Try again.")


class EpochMoved(GrantNotKnown):
    """The grant is at another epoch than the request was judged by: judge again."""


class NotCurrent(PassesByItself):
    """The gateway cannot be sure that what it knows is current, so it signs nothing."""

    def __init__(self) -> None:
        super().__init__("The gateway is catching up with the latest changes. Nothing was signed. Try again.")


class AuthorityAway(PassesByItself):
    """The certificate authority was certainly not asked."""

    def __init__(
        self, text: str = "The certificate authority cannot be reached just now. Nothing was signed. Try again."
    ) -> None:
        super().__init__(text, retry_after=5)


class RecordsAway(PassesByItself):
    """The gateway's database cannot be reached."""

    def __init__(self) -> None:
        super().__init__("The records of this gateway cannot be reached just now. Nothing was signed. Try again.")


class OutcomeUnknown(PassesByItself):
    """Signatures may have been made; none is released, and the attempt stays charged."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} No signature is released, and this attempt stays charged to the usage limit. A new attempt is charged anew.",
            retry_after=5,
        )


def organisation_and_name(subject: str) -> str:
    """`O=…,CN=…` of an RFC 4514 subject, as the specification names a certificate; the whole of one that has neither."""
    try:
        parts = list(x509.Name.from_rfc4514_string(subject))
    except ValueError:
        return subject
    named = (
        part.rfc4514_string() for oid in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME) for part in parts if part.oid == oid
    )
    return ",".join(named) or subject
