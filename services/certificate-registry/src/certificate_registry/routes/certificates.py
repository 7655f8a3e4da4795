"""`/certificates`: the remote certificates of an account, for its issuer operators."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry import ca_access
from certificate_registry.roles import Caller, demand_not_suspended
from certificate_registry.routes.fields import Empty, Input, Instant, Name, Page, Paging, Search, Text, from_instant, to_instant
from certificate_registry.routes.parts import AppParts, Operator
from certificate_registry.storage import grants
from certificate_registry.storage.audit_trail import record
from certificate_registry.storage.leaving import delete_certificate
from certificate_registry.storage.sight import one_seen, page_of, seen
from certificate_registry.storage.tables import AccountRow, CertificateRow
from certificate_registry.storage.told import tell
from contracts import AccessGrant

router = APIRouter(prefix="/certificates", tags=["certificates"])
Status = Literal["active", "inactive", "deleted"]


class CertificateDeleted(Exception):
    """The certificate is deleted."""


class CertificateShown(BaseModel):
    """A certificate, with the access to it."""

    id: UUID
    account_id: UUID
    alias: str
    registered_at: datetime
    certificate_authority_id: UUID
    certificate_authority_name: str
    credential_id: str  # the CA's
    subject: str
    issuer: str
    serial_number: str
    valid_from: datetime
    valid_until: datetime
    key_algorithm: str
    key_bits: int
    profile: str
    scope_of_use: str
    status: Status
    ca_access: ca_access.CaAccess

    @classmethod
    def of(cls, row: CertificateRow, grant: AccessGrant | None, now: datetime) -> "CertificateShown":
        """The row and its grant, at `now`."""
        told: dict[str, Any] = {name: getattr(row, name) for name in cls.model_fields if name != "ca_access"}
        return cls(**told, ca_access=ca_access.shown(grant, now))


class CertificateChange(Input):
    """What to change; a field left out stays. An inactive certificate signs nothing; its grant runs on."""

    alias: Name | None = None
    scope_of_use: Text | None = None
    status: Status | None = None


class CertificateQuery(Paging):
    """The list's filters. Deleted ones are listed only where the status asks for them."""

    alias: Search | None = None
    registered_from: Instant | None = None
    registered_to: Instant | None = None
    status: Status | None = None
    account_id: UUID | None = None


class RevocationMade(BaseModel):
    """The access was given up; the grant ends with reason `revoked` as soon as the word has travelled."""

    certificate_id: UUID
    revoked_at: datetime


@router.get("")
async def list_certificates(
    parts: AppParts, caller: Operator, query: Annotated[CertificateQuery, Query()]
) -> Page[CertificateShown]:
    """The certificates this operator sees, the newest first."""
    statement = seen(caller, CertificateRow)
    statement = statement.where(CertificateRow.status == query.status if query.status else CertificateRow.status != "deleted")
    if query.alias:
        statement = statement.where(CertificateRow.alias.icontains(query.alias, autoescape=True))
    if query.account_id:
        statement = statement.where(CertificateRow.account_id == query.account_id)
    async with parts.sessions() as session:
        zone = await _zone(session, caller)
        if query.registered_from:
            statement = statement.where(CertificateRow.registered_at >= from_instant(query.registered_from, zone))
        if query.registered_to:
            statement = statement.where(CertificateRow.registered_at < to_instant(query.registered_to, zone))
        order = [CertificateRow.registered_at.desc(), CertificateRow.id]
        rows, total = await page_of(session, statement, order, query.page, query.page_size)
        known = await grants.grants_of(session, [row.id for row in rows])
    now = parts.clock()
    items = [CertificateShown.of(row, known.get(row.id), now) for row in rows]
    return Page(items=items, page=query.page, page_size=query.page_size, total=total)


async def _zone(session: AsyncSession, caller: Caller) -> ZoneInfo:
    account = await session.get(AccountRow, caller.account_id) if caller.account_id else None
    return ZoneInfo(account.zone if account else "Europe/Lisbon")


@router.get("/{certificate_id}")
async def read_certificate(parts: AppParts, caller: Operator, certificate_id: UUID) -> CertificateShown:
    """One certificate."""
    async with parts.sessions() as session:
        row = await one_seen(session, caller, CertificateRow, certificate_id)
        return CertificateShown.of(row, await grants.grant_of(session, certificate_id), parts.clock())


@router.get("/{certificate_id}/chain.p7b", response_class=Response)
async def read_chain(parts: AppParts, caller: Operator, certificate_id: UUID) -> Response:
    """The chain as PKCS#7 (RFC 2315, certificates only), DER."""
    import base64

    from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
    from cryptography.x509 import load_der_x509_certificate

    async with parts.sessions() as session:
        row = await one_seen(session, caller, CertificateRow, certificate_id)
    chain = [load_der_x509_certificate(base64.b64decode(link)) for link in row.chain or []]
    body = pkcs7.serialize_certificates(chain, Encoding.DER)
    name = {"Content-Disposition": f'attachment; filename="{certificate_id}.p7b"'}
    return Response(body, media_type="application/x-pkcs7-certificates", headers=name)


@router.patch("/{certificate_id}")
async def change_certificate(
    parts: AppParts, caller: Operator, certificate_id: UUID, change: CertificateChange
) -> CertificateShown:
    """Edits alias, scope of use and status."""
    now = parts.clock()
    async with parts.sessions.begin() as session:
        row = await writable(session, caller, certificate_id)
        wanted = change.model_dump(exclude_none=True)
        changed = {name: value for name, value in wanted.items() if getattr(row, name) != value}
        if changed.get("status") == "deleted":
            await delete_certificate(session, row, now)
        elif changed:
            for name, value in changed.items():
                setattr(row, name, value)
            await tell(session, row, "edited", now)
        if changed:
            _record(session, changed.get("status", "edited"), caller, row, now, fields=sorted(changed))
        return CertificateShown.of(row, await grants.grant_of(session, certificate_id), now)


@router.post("/{certificate_id}/revocations", status_code=201)
async def give_access_up(parts: AppParts, caller: Operator, certificate_id: UUID, _: Empty = None) -> RevocationMade:
    """Gives the access up: the connector revokes the tokens at the CA. Repeated, nothing more happens."""
    async with parts.sessions.begin() as session:
        row = await writable(session, caller, certificate_id)
        _record(session, "revocation-asked", caller, row, parts.clock())
    await parts.connector.revoke(certificate_id, caller.operator_id)
    now = parts.clock()
    async with parts.sessions.begin() as session:
        _record(session, "revoked", caller, row, now)
    return RevocationMade(certificate_id=certificate_id, revoked_at=now)


async def writable(session: AsyncSession, caller: Caller, certificate_id: UUID) -> CertificateRow:
    """The certificate, locked, where the operator may change it now. Raises the refusal that fits."""
    row = await one_seen(session, caller, CertificateRow, certificate_id, lock=True)
    caller.writes("certificate")
    demand_not_suspended((await session.get_one(AccountRow, row.account_id)).status)
    if row.status == "deleted":
        raise CertificateDeleted("The certificate is deleted. Register it again to use it.")
    return row


def _record(session: AsyncSession, action: str, caller: Caller, row: CertificateRow, now: datetime, **detail: object) -> None:
    record(session, action, actor=caller.operator_id, kind="certificate", id=row.id, account_id=row.account_id, now=now, **detail)
