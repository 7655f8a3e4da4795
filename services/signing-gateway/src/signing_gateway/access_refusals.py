"""Why the gateway does not let in who calls, in plain words that say what to do."""

from signing_gateway.refusals import InvalidRequest, RateExceeded, Refused


class LoginMalformed(Refused):
    """`auth/login` without a Basic header that can be read, and without a refresh token."""

    def __init__(self) -> None:
        super().__init__("Malformed authentication parameter.")


class LoginFailed(Refused):
    """`auth/login` with a wrong client id or secret; which of them is not said."""

    def __init__(self) -> None:
        super().__init__("An error occurred during authentication process")


class RefreshTokenUnknown(InvalidRequest):
    """`auth/login` with a refresh token that is none, over or revoked; which of them is not said."""

    def __init__(self) -> None:
        super().__init__("Invalid refresh_token")


class TooManyLoginsFailed(RateExceeded):
    """Who asks has failed to authenticate too often of late."""

    said = "Too many logins failed. Check client id and secret, and try again later."


class PlainRefused(InvalidRequest):
    """The request came over plain HTTP, from nobody who may send it so."""

    def __init__(self) -> None:
        super().__init__("Plain HTTP is not served here. Use the https address.")


class ProxyHeaderUnreadable(InvalidRequest):
    """A proxy of ours forwards a client certificate that cannot be read, or two that differ, in the header it is to set."""

    def __init__(self) -> None:
        super().__init__("The client certificate that the proxy forwards cannot be read, or it forwards two that differ.")


class CertificateNeeded(Refused):
    """No TLS client certificate was shown, and the gateway or the client service asks for one."""

    def __init__(self) -> None:
        super().__init__("A TLS client certificate is needed. Connect with the one that was issued to this client service.")


class CertificateNotTheirs(Refused):
    """The TLS client certificate is none of this client service's: another's, withdrawn, or over. Which is not said."""

    def __init__(self) -> None:
        super().__init__(
            "The TLS client certificate does not identify this client service, or it was withdrawn. Connect with a valid one of"
            " this client service."
        )


class ClientUnknown(Refused):
    """The client id or its secret is wrong; which of them is not said."""

    def __init__(self) -> None:
        super().__init__("Client authentication failed. Check client_id and client_secret.")


class GrantTypeUnsupported(Refused):
    """Another grant type than client_credentials."""


class ScopeInvalid(Refused):
    """Another scope than service."""
