"""The CA connector's internal API, as far as the registry calls it."""

from uuid import UUID

from contracts.ca_connector import (
    Authorisation,
    Begin,
    Callback,
    CertificateAuthority,
    CertificateAuthorityChange,
    CertificateAuthorityList,
    ChosenCredential,
    CodesAnswer,
    NewCertificateAuthority,
    Revocation,
)
from hosting.calls import InternalCalls

_AUTHORITIES = "/internal/v1/certificate-authorities"
_AUTHORISATIONS = "/internal/v1/authorisations"


class Connector:
    """Each call raises hosting's CallRefused, CallNotSent or CallOutcomeUnknown."""

    def __init__(self, calls: InternalCalls) -> None:
        self._calls = calls

    async def authorities(self) -> list[CertificateAuthority]:
        """All CA profiles, by name."""
        return (await self._calls.get(_AUTHORITIES, CertificateAuthorityList)).items

    async def authority(self, authority_id: UUID) -> CertificateAuthority:
        """One CA profile."""
        return await self._calls.get(f"{_AUTHORITIES}/{authority_id}", CertificateAuthority)

    async def add_authority(self, profile: NewCertificateAuthority) -> CertificateAuthority:
        """Writes a new CA profile."""
        return await self._calls.post(_AUTHORITIES, profile, CertificateAuthority)

    async def change_authority(self, authority_id: UUID, change: CertificateAuthorityChange) -> CertificateAuthority:
        """Changes a CA profile."""
        return await self._calls.patch(f"{_AUTHORITIES}/{authority_id}", change, CertificateAuthority)

    async def begin(self, begin: Begin) -> Authorisation:
        """Begins a walk; repeating it begins nothing more."""
        return await self._calls.post(_AUTHORISATIONS, begin, Authorisation)

    async def authorisation(self, walk_id: UUID) -> Authorisation:
        """The walk as it stands."""
        return await self._calls.get(f"{_AUTHORISATIONS}/{walk_id}", Authorisation)

    async def callback(self, walk_id: UUID, callback: Callback) -> Authorisation:
        """Hands over what the CA's redirect brought back; repeated, it answers what stands."""
        return await self._calls.post(f"{_AUTHORISATIONS}/{walk_id}/callback", callback, Authorisation)

    async def choose(self, walk_id: UUID, credential_id: str) -> Authorisation:
        """Chooses one of the credentials offered at a registration."""
        choice = ChosenCredential(credential_id=credential_id)
        return await self._calls.post(f"{_AUTHORISATIONS}/{walk_id}/credential", choice, Authorisation)

    async def answer(self, walk_id: UUID, codes: CodesAnswer) -> Authorisation:
        """Hands over what the operator typed. Never repeated by software."""
        return await self._calls.post(f"{_AUTHORISATIONS}/{walk_id}/authorisation", codes, Authorisation)

    async def challenge(self, walk_id: UUID) -> Authorisation:
        """Has a new one-time code sent."""
        return await self._calls.post(f"{_AUTHORISATIONS}/{walk_id}/challenge", None, Authorisation)

    async def cancel(self, walk_id: UUID) -> Authorisation:
        """Ends a walk."""
        return await self._calls.post(f"{_AUTHORISATIONS}/{walk_id}/cancellation", None, Authorisation)

    async def revoke(self, certificate_id: UUID, operator_id: UUID) -> None:
        """Gives the access to a certificate up."""
        path = f"/internal/v1/certificates/{certificate_id}/revocation"
        await self._calls.post(path, Revocation(operator_id=operator_id), None)
