"""Issues client certificates: what the operators' API, the contact's page and the fetched file have in common."""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry.client_ca import ClientCa, PublicKey
from certificate_registry.client_certificate import IssuedBy
from certificate_registry.storage.audit_trail import record
from certificate_registry.storage.client_certificate_tables import ClientCertificateRow, RetrievalRow
from certificate_registry.storage.client_certificates import close, standing_of, tell_service, write_standing
from certificate_registry.storage.tables import AccountRow, ClientServiceRow
from hosting import Clock


class ClientCaMissing(Exception):
    """This registry was given no authority to issue client certificates with."""

    def __init__(self) -> None:
        super().__init__("No client certificate can be issued here: the platform's client CA is not set up.")


@dataclass(frozen=True)
class Issuer:
    """The authority, and the host's clock: X.509 knows no other time."""

    ca: ClientCa
    host: Clock

    async def certify(self, session: AsyncSession, row: ClientCertificateRow, key: PublicKey) -> x509.Certificate:
        """A certificate for that key, of the names the platform knows. Nothing trusts it before it is adopted."""
        account = await session.get_one(AccountRow, row.account_id)
        return self.ca.issue(
            key,
            client_name=row.client_name,
            organisation=account.name,
            service_id=row.client_service_id,
            now=self.host(),
        )

    def chain_of(self, row: ClientCertificateRow) -> list[x509.Certificate]:
        """The issued certificate and those above it."""
        assert row.certificate is not None  # asked for issued ones only
        return [x509.load_der_x509_certificate(row.certificate), *self.ca.chain]


async def for_request(
    session: AsyncSession,
    issuer: Issuer,
    service: ClientServiceRow,
    row: ClientCertificateRow,
    request: x509.CertificateSigningRequest,
    *,
    actor: UUID | str,
    now: datetime,
) -> None:
    """Issues the locked order for the key of a checked request. Raises NotOrdered."""
    standing_of(row).issued(now)  # refused before anything is signed
    certificate = await issuer.certify(session, row, request.public_key())  # type: ignore[arg-type] # the check let no other kind in
    await adopt(session, service, row, certificate, by="request", actor=actor, now=now)


async def adopt(
    session: AsyncSession,
    service: ClientServiceRow,
    row: ClientCertificateRow,
    certificate: x509.Certificate,
    *,
    by: IssuedBy,
    actor: UUID | str,
    now: datetime,
) -> None:
    """Issued from now on: it identifies the locked service beside those that did already, told and audited. Raises NotOrdered."""
    der = certificate.public_bytes(Encoding.DER)
    write_standing(row, standing_of(row).issued(certificate.not_valid_after_utc))
    row.certificate, row.sha256, row.issued_at, row.issued_by = der, sha256(der).hexdigest(), now, by
    row.serial_number, row.valid_from = f"{certificate.serial_number:x}", certificate.not_valid_before_utc
    retrieval = await session.get(RetrievalRow, row.id, with_for_update=True, populate_existing=True)
    if retrieval is not None:
        close(retrieval)
    await tell_service(session, service, "client-certificate-issued", now)
    record(
        session,
        "issued",
        actor=actor,
        kind="client-certificate",
        id=row.id,
        account_id=row.account_id,
        now=now,
        client_service_id=row.client_service_id,
        by=by,
        sha256=row.sha256,
    )
