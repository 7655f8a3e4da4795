"""Why documents are not signed, besides why nothing is: what is wrong with one of them, and who else is needed and away."""

from signing_gateway.refusals import InvalidRequest, OutcomeUnknown, PassesByItself


class DocumentRefused(InvalidRequest):
    """One of the documents cannot be signed as asked, so none was."""

    def __init__(self, label: str, rule: str) -> None:
        super().__init__(f"{label} {rule}. Nothing was signed.")
        self.label, self.rule = label, rule


class TimestampsNotOffered(InvalidRequest):
    """No timestamp authority is configured."""

    def __init__(self) -> None:
        super().__init__("No timestamp authority is configured here. Ask for conformance_level Ades-B-B.")


class CertificateRevoked(InvalidRequest):
    """The certificate's own authority says that it was revoked."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The certificate '{name}' is revoked. Nothing was signed.")


class Busy(PassesByItself):
    """As many documents are being signed as this process has room for."""

    def __init__(self) -> None:
        super().__init__("Too many documents are being signed just now. Nothing was signed. Try again.")


class DocumentsTakeTooLong(PassesByItself):
    """All that is done before the signatures took longer than is given to one call."""

    def __init__(self, given_s: float) -> None:
        super().__init__(
            f"The documents could not be prepared within {given_s:g} s. Nothing was signed. Send fewer at once, or try again.",
            retry_after=5,
        )


class TimestampsAway(PassesByItself):
    """The timestamp authority gives no token that holds."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The timestamp authority gave no timestamp: {why}. Nothing was signed. Try again.", retry_after=5)


class EvidenceAway(PassesByItself):
    """It cannot be shown just now that a certificate is not revoked."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"That the certificate '{name}' is good cannot be shown just now: {why}. Nothing was signed.", retry_after=5
        )


class SignedNotDelivered(OutcomeUnknown):
    """The certificate authority signed and the signatures are counted; the documents could not be finished."""

    def __init__(self, why: str) -> None:
        super().__init__(f"The documents were signed but could not be finished: {why}")
