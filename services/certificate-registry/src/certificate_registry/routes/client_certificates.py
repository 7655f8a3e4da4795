"""`/client-certificates`: the TLS certificates that identify client services; ordered, issued for a request, withdrawn."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

from cryptography.x509 import Certificate
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, StringConstraints, model_validator
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry import certificate_request, client_ca, issuing
from certificate_registry.client_certificate import IssuedBy, Status, WithdrawnBy
from certificate_registry.roles import Caller, demand_active
from certificate_registry.routes.client_services import writable as writable_service
from certificate_registry.routes.fields import Email, Input, Mobile, Name, Page, Paging, Text
from certificate_registry.routes.parts import AppParts, Operator, Parts, at
from certificate_registry.storage import client_certificates
from certificate_registry.storage.audit_trail import record
from certificate_registry.storage.client_certificate_tables import ClientCertificateRow
from certificate_registry.storage.sight import one_seen, page_of, seen
from certificate_registry.storage.tables import AccountRow, ClientServiceRow

router = APIRouter(prefix="/client-certificates", tags=["client certificates"])
ClientName = Annotated[Name, StringConstraints(max_length=client_ca.MAX_NAME)]
Request = Annotated[str, StringConstraints(max_length=2 * certificate_request.MAX_SIGNS)]


class NotIssued(Exception):
    """There is an order and no certificate yet."""


class ClientCertificateShown(BaseModel):
    """A client certificate, from its order on. Its file and passwords are for the contact alone."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    account_id: UUID
    client_service_id: UUID
    client_name: str
    contact_name: str | None
    email: str | None
    mobile: str | None
    status: Status
    ordered_at: datetime
    issued_at: datetime | None
    issued_by: IssuedBy | None  # the contact's download, or a request (CSR)
    sha256: str | None  # of its DER, hexadecimal
    serial_number: str | None
    valid_from: datetime | None
    valid_until: datetime | None
    withdrawn_at: datetime | None
    withdrawn_by: WithdrawnBy | None
    withdrawal_reason: str | None


class ClientCertificateIssued(ClientCertificateShown):
    """A client certificate issued for a request: itself and those above it, PEM."""

    certificate: str
    chain: list[str]


class Csr(Input):
    """A certificate signing request (PKCS#10), PEM: the key stays where it was made."""

    csr: Request


class NewClientCertificate(Input):
    """An order. The contact gets a link by e-mail and a one-time password by SMS; none is needed where a `csr` comes along."""

    client_service_id: UUID
    client_name: ClientName  # short, as "e-banking"; part of the certificate's name
    contact_name: Name | None = None
    email: Email | None = None
    mobile: Mobile | None = None
    csr: Request | None = None

    @model_validator(mode="after")
    def _somebody_receives_it(self) -> "NewClientCertificate":
        told = {name: getattr(self, name) for name in ("contact_name", "email", "mobile")}
        missing = [name for name, value in told.items() if value is None]
        if missing and (self.csr is None or len(missing) < len(told)):
            raise ValueError(f"{', '.join(missing)} must be given: the contact receives the certificate (or send a csr)")
        return self


class Withdrawal(Input):
    """Why it is withdrawn, for the audit trail."""

    reason: Annotated[Text, StringConstraints(min_length=1)]


class ClientCertificateQuery(Paging):
    """The list's filters."""

    client_service_id: UUID | None = None
    account_id: UUID | None = None
    status: Status | None = None


@router.get("")
async def list_client_certificates(
    parts: AppParts, caller: Operator, query: Annotated[ClientCertificateQuery, Query()]
) -> Page[ClientCertificateShown]:
    """The client certificates this operator sees, the newest order first."""
    table = ClientCertificateRow
    statement = seen(caller, table)
    for name in ("client_service_id", "account_id", "status"):
        if (wanted := getattr(query, name)) is not None:
            statement = statement.where(getattr(table, name) == wanted)
    async with parts.sessions() as session:
        rows, total = await page_of(session, statement, [table.ordered_at.desc(), table.id], query.page, query.page_size)
    items = [ClientCertificateShown.model_validate(row) for row in rows]
    return Page(items=items, page=query.page, page_size=query.page_size, total=total)


@router.post("", status_code=201)
async def order_client_certificate(
    parts: AppParts, caller: Operator, new: NewClientCertificate, response: Response
) -> ClientCertificateIssued | ClientCertificateShown:
    """Orders one. A new one works beside the old until that is withdrawn or ends."""
    caller.writes("client-service")
    _ = parts.issuer  # where there is none, nothing is ordered
    request = certificate_request.checked(new.csr) if new.csr is not None else None
    now = parts.clock()
    async with parts.sessions.begin() as session:
        service = await _working_service(session, caller, new.client_service_id)
        row = ClientCertificateRow(
            id=uuid4(),
            account_id=service.account_id,
            client_service_id=service.id,
            status="ordered",
            ordered_at=now,
            ordered_by=caller.operator_id,
            **new.model_dump(include={"client_name", "contact_name", "email", "mobile"}),
        )
        session.add(row)
        await session.flush()
        _record(session, "ordered", caller, row, now)
        if request is not None:
            await issuing.for_request(session, parts.issuer, service, row, request, actor=caller.operator_id, now=now)
        else:
            await parts.hands_out.invite(session, row)
    response.headers.update(at(row.id, "client-certificates"))
    return _shown(parts, row, with_certificate=request is not None)


@router.get("/{certificate_id}")
async def read_client_certificate(parts: AppParts, caller: Operator, certificate_id: UUID) -> ClientCertificateShown:
    """One client certificate."""
    async with parts.sessions() as session:
        return ClientCertificateShown.model_validate(await one_seen(session, caller, ClientCertificateRow, certificate_id))


@router.post("/{certificate_id}/request")
async def issue_for_request(parts: AppParts, caller: Operator, certificate_id: UUID, sent: Csr) -> ClientCertificateIssued:
    """Issues an order's certificate for a request, so that its key never travels. The contact's link holds no more."""
    async with parts.sessions.begin() as session:
        service, row = await _writable(session, caller, certificate_id)
        request = certificate_request.checked(sent.csr)
        now = parts.clock()
        await issuing.for_request(session, parts.issuer, service, row, request, actor=caller.operator_id, now=now)
    return _issued(parts, row)


@router.get("/{certificate_id}/certificate.pem", response_class=Response)
async def read_pem(parts: AppParts, caller: Operator, certificate_id: UUID) -> Response:
    """The certificate and those above it, PEM."""
    chain = await _chain(parts, caller, certificate_id)
    return _file(client_ca.pem_of(chain).encode(), "application/x-pem-file", f"{certificate_id}.pem")


@router.get("/{certificate_id}/certificate.p7b", response_class=Response)
async def read_p7b(parts: AppParts, caller: Operator, certificate_id: UUID) -> Response:
    """The certificate and those above it as PKCS#7 (RFC 2315, certificates only), DER."""
    chain = await _chain(parts, caller, certificate_id)
    return _file(client_ca.p7b_of(chain), "application/x-pkcs7-certificates", f"{certificate_id}.p7b")


@router.post("/{certificate_id}/withdrawal")
async def withdraw_client_certificate(
    parts: AppParts, caller: Operator, certificate_id: UUID, why: Withdrawal
) -> ClientCertificateShown:
    """Blocks it for good: the gateway refuses it as soon as it hears, and the CRL lists it. Repeated, nothing more happens."""
    async with parts.sessions.begin() as session:
        service, row = await _writable(session, caller, certificate_id)
        now = parts.clock()
        was_issued = row.status == "issued"
        await client_certificates.withdraw(session, row, by="operator", actor=caller.operator_id, reason=why.reason, now=now)
        if was_issued:
            await client_certificates.tell_service(session, service, "client-certificate-withdrawn", now)
    return ClientCertificateShown.model_validate(row)


async def _working_service(session: AsyncSession, caller: Caller, service_id: UUID) -> ClientServiceRow:
    """The service, locked, of an account that works."""
    service = await writable_service(session, caller, service_id)
    if caller.role != "administrator":
        demand_active((await session.get_one(AccountRow, service.account_id)).status)
    return service


async def _writable(session: AsyncSession, caller: Caller, certificate_id: UUID) -> tuple[ClientServiceRow, ClientCertificateRow]:
    """The service and its certificate, locked, where the operator may change it now. Raises the refusal that fits."""
    row = await one_seen(session, caller, ClientCertificateRow, certificate_id)
    caller.writes("client-service")
    caller.demand_working((await session.get_one(AccountRow, row.account_id)).status)
    return await client_certificates.locked(session, certificate_id)


async def _chain(parts: Parts, caller: Caller, certificate_id: UUID) -> list[Certificate]:
    async with parts.sessions() as session:
        row = await one_seen(session, caller, ClientCertificateRow, certificate_id)
    if row.certificate is None:
        raise NotIssued("The client certificate is not issued yet.")
    return parts.issuer.chain_of(row)


def _shown(parts: Parts, row: ClientCertificateRow, *, with_certificate: bool) -> ClientCertificateShown:
    return _issued(parts, row) if with_certificate else ClientCertificateShown.model_validate(row)


def _issued(parts: Parts, row: ClientCertificateRow) -> ClientCertificateIssued:
    own, *above = (client_ca.pem_of([each]) for each in parts.issuer.chain_of(row))
    shown = ClientCertificateShown.model_validate(row).model_dump()
    return ClientCertificateIssued(**shown, certificate=own, chain=above)


def _file(content: bytes, kind: str, name: str) -> Response:
    return Response(content, media_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _record(session: AsyncSession, action: str, caller: Caller, row: ClientCertificateRow, now: datetime, **detail: Any) -> None:
    record(
        session,
        action,
        actor=caller.operator_id,
        kind="client-certificate",
        id=row.id,
        account_id=row.account_id,
        now=now,
        client_service_id=row.client_service_id,
        **detail,
    )
