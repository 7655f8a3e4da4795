"""`/client-services`: the software that signs, each bound to one certificate."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator, BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry import client_service, public_keys, secret
from certificate_registry.public_keys import Jwk
from certificate_registry.roles import Caller, NotVisible, demand_active
from certificate_registry.routes.certificates import CertificateDeleted
from certificate_registry.routes.fields import Empty, Input, Name, Page, Paging, Search
from certificate_registry.routes.parts import AppParts, Operator, at
from certificate_registry.storage import grants
from certificate_registry.storage.audit_trail import record
from certificate_registry.storage.client_certificates import withdraw_all_of
from certificate_registry.storage.client_services import standing_of, write_standing
from certificate_registry.storage.sight import one_seen, page_of, seen
from certificate_registry.storage.tables import AccountRow, CertificateRow, ClientServiceRow
from certificate_registry.storage.told import tell
from contracts import Usage

router = APIRouter(prefix="/client-services", tags=["client services"])
Status = Literal["active", "inactive", "deleted"]
Keys = Annotated[list[dict[str, Any]], AfterValidator(public_keys.checked)]
EDITED = ("name", "certificate_required", "jwks")


class ChangedMeanwhile(Exception):
    """Somebody else changed it between our reading and our writing."""


class ClientServiceDeleted(Exception):
    """The client service is deleted."""


class ClientServiceShown(BaseModel):
    """A client service."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    account_id: UUID
    certificate_id: UUID
    name: str
    client_id: str
    status: Status
    reason: Literal["created", "operator", "access-expired"] | None
    activated_for_epoch: int
    created_at: datetime
    certificate_required: bool
    jwks: list[Jwk]


class ClientServiceMade(ClientServiceShown):
    """A client service with its secret, shown this once."""

    client_secret: str


class NewClientService(Input):
    """A client service as written."""

    certificate_id: UUID
    name: Name
    certificate_required: bool = False
    jwks: Keys = []


class ClientServiceChange(Input):
    """What to change; a field left out stays. Another certificate must be of the same account."""

    name: Name | None = None
    status: Status | None = None
    certificate_id: UUID | None = None
    certificate_required: bool | None = None  # calls without one of its client certificates are refused
    jwks: Keys | None = None  # public keys that verify its private_key_jwt assertions; replaces all


class ClientServiceQuery(Paging):
    """The list's filters. Deleted ones are listed only where the status asks for them."""

    certificate_id: UUID | None = None
    account_id: UUID | None = None
    status: Status | None = None
    name: Search | None = None


@router.get("")
async def list_client_services(
    parts: AppParts, caller: Operator, query: Annotated[ClientServiceQuery, Query()]
) -> Page[ClientServiceShown]:
    """The client services this operator sees, by name."""
    table = ClientServiceRow
    statement = seen(caller, table).where(table.status == query.status if query.status else table.status != "deleted")
    if query.name:
        statement = statement.where(table.name.icontains(query.name, autoescape=True))
    for name in ("certificate_id", "account_id"):
        if (wanted := getattr(query, name)) is not None:
            statement = statement.where(getattr(table, name) == wanted)
    async with parts.sessions() as session:
        rows, total = await page_of(session, statement, [table.name, table.id], query.page, query.page_size)
    items = [ClientServiceShown.model_validate(row) for row in rows]
    return Page(items=items, page=query.page, page_size=query.page_size, total=total)


@router.post("", status_code=201)
async def create_client_service(
    parts: AppParts, caller: Operator, new: NewClientService, response: Response
) -> ClientServiceMade:
    """A new client service: active where the certificate's grant is, inactive otherwise."""
    caller.writes("client-service")
    now, client_secret = parts.clock(), secret.new(secret.CLIENT_SECRET)
    async with parts.sessions.begin() as session:
        certificate = await _certificate(session, caller, new.certificate_id)
        standing = client_service.created(await grants.grant_of(session, certificate.id, hold=True), now)
        row = ClientServiceRow(
            id=uuid4(),
            version=0,
            account_id=certificate.account_id,
            certificate_id=certificate.id,
            name=new.name,
            client_id=f"cs-{uuid4().hex}",
            secret_sha256=secret.digest(client_secret),
            created_at=now,
            certificate_required=new.certificate_required,
            jwks=new.jwks,
        )
        write_standing(row, standing)
        session.add(row)
        await tell(session, row, "created", now)
        _record(session, "created", caller, row, now, status=row.status, certificate_id=certificate.id)
    response.headers.update(at(row.id, "client-services"))
    return _with_secret(row, client_secret)


@router.get("/{service_id}")
async def read_client_service(parts: AppParts, caller: Operator, service_id: UUID) -> ClientServiceShown:
    """One client service."""
    async with parts.sessions() as session:
        return ClientServiceShown.model_validate(await one_seen(session, caller, ClientServiceRow, service_id))


@router.get("/{service_id}/usage")
async def read_usage(parts: AppParts, caller: Operator, service_id: UUID) -> Usage | None:
    """What it signed, in all and by day; null while nothing was counted."""
    async with parts.sessions() as session:
        await one_seen(session, caller, ClientServiceRow, service_id)
        return await grants.usage_of(session, service_id)


@router.post("/{service_id}/secret")
async def rotate_secret(parts: AppParts, caller: Operator, service_id: UUID, _: Empty = None) -> ClientServiceMade:
    """A new secret, shown this once; the old one stops to hold as soon as the gateway hears of it."""
    now, client_secret = parts.clock(), secret.new(secret.CLIENT_SECRET)
    async with parts.sessions.begin() as session:
        row = await writable(session, caller, service_id)
        row.secret_sha256 = secret.digest(client_secret)
        await tell(session, row, "secret-rotated", now)
        _record(session, "secret-rotated", caller, row, now)
    return _with_secret(row, client_secret)


@router.patch("/{service_id}")
async def change_client_service(
    parts: AppParts, caller: Operator, service_id: UUID, change: ClientServiceChange
) -> ClientServiceShown:
    """Renames, moves, activates, deactivates or deletes it. Activating needs an active grant, or says why not."""
    async with parts.sessions.begin() as session:
        bound_to = (await one_seen(session, caller, ClientServiceRow, service_id)).certificate_id
        caller.writes("client-service")
        certificate_id = change.certificate_id or bound_to
        bound = change.certificate_id or change.status == "active"
        target = await _certificate(session, caller, certificate_id) if bound else None
        # The grant is held before the service is locked, as a suspension does it: neither misses the other.
        grant = await grants.grant_of(session, certificate_id, hold=True)
        row = await writable(session, caller, service_id)
        if row.certificate_id != bound_to or (target and target.account_id != row.account_id):
            raise ChangedMeanwhile("It was moved meanwhile, or the certificate is another account's. Read it again.")
        now, before = parts.clock(), _told(row)
        if certificate_id != bound_to:
            write_standing(row, standing_of(row).moved(grant, now))
            row.certificate_id = certificate_id
        for name in EDITED:
            if (wanted := getattr(change, name)) is not None:
                setattr(row, name, wanted)
        if change.status == "deleted":
            row.status, row.reason = "deleted", None
            await withdraw_all_of(session, row, caller.operator_id, now)
        elif change.status == "active":
            write_standing(row, standing_of(row).activated(grant, now))
        elif change.status == "inactive" and row.status == "active":
            write_standing(row, standing_of(row).deactivated())
        changed = sorted(name for name, value in _told(row).items() if before[name] != value)
        if changed:
            cause = {"active": "activated", "inactive": "deactivated"}.get(row.status, row.status)
            await tell(session, row, cause if "status" in changed else "edited", now)
            _record(session, cause if "status" in changed else "edited", caller, row, now, fields=changed)
    return ClientServiceShown.model_validate(row)


def _told(row: ClientServiceRow) -> dict[str, object]:
    return {name: getattr(row, name) for name in (*EDITED, "certificate_id", "status", "reason", "activated_for_epoch")}


async def writable(session: AsyncSession, caller: Caller, service_id: UUID) -> ClientServiceRow:
    """The service, locked, where the operator may change it now. Raises the refusal that fits."""
    row = await one_seen(session, caller, ClientServiceRow, service_id, lock=True)
    caller.writes("client-service")
    caller.demand_working((await session.get_one(AccountRow, row.account_id)).status)
    if row.status == "deleted":
        raise ClientServiceDeleted("The client service is deleted. Create a new one.")
    return row


async def _certificate(session: AsyncSession, caller: Caller, certificate_id: UUID) -> CertificateRow:
    """The certificate, where the operator may bind services to it: a partner names it without seeing certificates."""
    found = select(CertificateRow).where(CertificateRow.id == certificate_id, CertificateRow.status != "pending")
    certificate = (await session.scalars(found)).one_or_none()
    if certificate is None:
        raise NotVisible("There is no certificate of this id.")
    account = await one_seen(session, caller, AccountRow, certificate.account_id)
    if caller.role != "administrator":
        demand_active(account.status)
    if certificate.status == "deleted":
        raise CertificateDeleted("The certificate is deleted. Choose another one.")
    return certificate


def _with_secret(row: ClientServiceRow, client_secret: str) -> ClientServiceMade:
    shown = ClientServiceShown.model_validate(row)
    return ClientServiceMade(**shown.model_dump(), client_secret=client_secret)


def _record(session: AsyncSession, action: str, caller: Caller, row: ClientServiceRow, now: datetime, **detail: object) -> None:
    record(
        session, action, actor=caller.operator_id, kind="client-service", id=row.id, account_id=row.account_id, now=now, **detail
    )
