"""What the connector hears: a deleted certificate's access is given up, its tokens revoked and destroyed."""

from ca_connector.parts import Parts
from ca_connector.storage.access import access_to, end_access
from ca_connector.walk import CertificateUnknown
from contracts import Certificate
from messaging import Heard, Hearing


def hear(hearing: Hearing, parts: Parts) -> None:
    """Gives `hearing` what to do."""

    @hearing.hears(Certificate)
    async def on_certificate(heard: Heard) -> None:
        """Told twice, late or again, it changes nothing more."""
        certificate = heard.event
        assert isinstance(certificate, Certificate)
        if certificate.status != "deleted":
            return
        async with parts.sessions.begin() as session:
            try:
                access = await access_to(session, certificate.certificate_id, parts.sealer, lock=True)
            except CertificateUnknown:
                return
            if access.state != "deleted":
                await end_access(session, access, by="operator", state="deleted", now=parts.clock(), sealer=parts.sealer)
