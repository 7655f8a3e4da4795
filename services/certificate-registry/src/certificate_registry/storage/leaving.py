"""Deletions: what hangs on an account or a certificate leaves with it, in one transaction, told and audited."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry.storage import client_services
from certificate_registry.storage.audit_trail import record
from certificate_registry.storage.client_certificates import withdraw_all_of
from certificate_registry.storage.operators import forget_person
from certificate_registry.storage.tables import AccountRow, ApiTokenRow, CertificateRow, OperatorRow
from certificate_registry.storage.told import tell


async def delete_account(session: AsyncSession, account: AccountRow, actor: UUID, now: datetime) -> None:
    """Deletes the locked account with its operators, certificates and client services."""
    certificates = await session.scalars(
        select(CertificateRow).where(CertificateRow.account_id == account.id).order_by(CertificateRow.id).with_for_update()
    )
    ids = []
    for certificate in certificates.all():
        ids.append(certificate.id)
        if certificate.status not in {"pending", "deleted"}:
            certificate.status = "deleted"
            await tell(session, certificate, "deleted", now)
    for service in await client_services.of_certificates(session, ids):
        service.status, service.reason = "deleted", None
        await withdraw_all_of(session, service, actor, now)
        await tell(session, service, "deleted", now)
    operators = await session.scalars(
        select(OperatorRow)
        .where(OperatorRow.account_id == account.id, OperatorRow.status != "deleted")
        .order_by(OperatorRow.id)
        .with_for_update()
    )
    for operator in operators.all():
        await delete_operator(session, operator, now)
    account.status, account.name = "deleted", ""
    await tell(session, account, "deleted", now)
    record(session, "deleted-with-all", actor=actor, kind="account", id=account.id, account_id=account.id, now=now)


async def delete_operator(session: AsyncSession, operator: OperatorRow, now: datetime) -> None:
    """Deletes the locked operator: personal data go, its tokens stop to hold."""
    forget_person(operator)
    withdrawn = update(ApiTokenRow).where(ApiTokenRow.operator_id == operator.id, ApiTokenRow.withdrawn_at.is_(None))
    await session.execute(withdrawn.values(withdrawn_at=now))
    await tell(session, operator, "deleted", now)


async def delete_certificate(session: AsyncSession, certificate: CertificateRow, now: datetime) -> None:
    """Deletes the locked certificate; its active client services turn inactive, as an operator's doing."""
    certificate.status = "deleted"
    await tell(session, certificate, "deleted", now)
    for service in await client_services.of_certificates(session, [certificate.id]):
        if service.status == "active":
            client_services.write_standing(service, client_services.standing_of(service).deactivated())
            await tell(session, service, "certificate-deleted", now)
