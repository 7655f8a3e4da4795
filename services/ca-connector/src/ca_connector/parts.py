"""What the work with a CA needs, put together once by `app.build`."""

from dataclasses import dataclass
from uuid import UUID

from ca_connector.csc import Csc
from ca_connector.oauth import ClientOfCa, OAuth
from ca_connector.outbound import Outbound
from ca_connector.sealing import Sealer
from ca_connector.storage import profiles
from contracts.ca_connector import CertificateAuthority
from hosting import Clock
from hosting.database import Sessions


@dataclass(frozen=True)
class Ca:
    """One CA: its profile, who we are there, and its CSC service."""

    profile: CertificateAuthority
    client: ClientOfCa
    csc: Csc


@dataclass(frozen=True)
class Parts:
    """Sessions, clock, keys and the way out."""

    sessions: Sessions
    clock: Clock
    sealer: Sealer
    outbound: Outbound
    oauth: OAuth

    async def ca(self, authority_id: UUID) -> Ca:
        """Raises AuthorityUnknown."""
        async with self.sessions() as session:
            profile = await profiles.profile(session, authority_id)
            client = await profiles.client_of(session, authority_id, self.sealer)
        return Ca(profile, client, Csc(self.outbound, profile.csc_url, profile.dialect))
