"""One table: each refusal in plain words → problem+json."""

from ca_connector.dialog import CaDidNotAnswer
from ca_connector.storage.profiles import NameTaken
from ca_connector.tokens import CaUnavailable
from ca_connector.walk import (
    AuthorisationUnknown,
    AuthorityInactive,
    AuthorityUnknown,
    CertificateUnknown,
    CodeRefused,
    NotNow,
    StateForeign,
    TooManyChallenges,
    WalkDiffers,
)
from ca_connector.walking import CredentialNotOffered
from hosting.address import AddressRefused

REFUSALS: dict[type[Exception], tuple[int, str]] = {
    AuthorisationUnknown: (404, "authorisation-unknown"),
    AuthorityUnknown: (404, "certificate-authority-unknown"),
    CertificateUnknown: (404, "certificate-unknown"),
    AuthorityInactive: (409, "certificate-authority-inactive"),
    NameTaken: (409, "name-taken"),
    NotNow: (409, "not-now"),
    WalkDiffers: (409, "authorisation-differs"),
    StateForeign: (400, "state-foreign"),
    CredentialNotOffered: (422, "credential-not-offered"),
    CodeRefused: (422, "code-refused"),
    TooManyChallenges: (429, "too-many-challenges"),
    AddressRefused: (422, "address-refused"),
    CaDidNotAnswer: (503, "ca-unavailable"),
    CaUnavailable: (503, "ca-unavailable"),
}
