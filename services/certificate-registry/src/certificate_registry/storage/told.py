"""Tells a changed row: its version rises, and the whole state goes into the outbox of the same transaction.

What is deleted is told as a state without personal data, then as a tombstone.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry.storage.tables import AccountRow, CertificateRow, ClientServiceRow, OperatorRow
from contracts import Account, Certificate, ClientService, Operator, Told
from messaging import put, put_tombstone

TellableRow = AccountRow | OperatorRow | CertificateRow | ClientServiceRow


async def tell(session: AsyncSession, row: TellableRow, cause: str, now: datetime) -> None:
    """Raises the row's version and tells it. A row that existed before is locked by the caller."""
    await tell_all(session, [row], cause, now)


async def tell_all(session: AsyncSession, rows: Sequence[TellableRow], cause: str, now: datetime) -> None:
    """As `tell`, for any number of rows at once."""
    for row in rows:
        row.version += 1
    await session.flush()
    told = [state_of(row, cause) for row in rows]
    await put(session, *told, at=now)
    for row, state in zip(rows, told, strict=True):
        if row.status == "deleted":
            await put_tombstone(session, type(state), state.key, at=now)


def state_of(row: TellableRow, cause: str) -> Told:
    """The row as its event."""
    match row:
        case AccountRow():
            return Account.model_validate(_account(row, cause))
        case OperatorRow():
            return Operator.model_validate(_operator(row, cause))
        case CertificateRow():
            return Certificate.model_validate(_certificate(row, cause))
        case ClientServiceRow():
            return ClientService.model_validate(_client_service(row, cause))


def _columns(row: TellableRow, *names: str) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def _account(row: AccountRow, cause: str) -> dict[str, Any]:
    return {"cause": cause, "account_id": row.id, **_columns(row, "version", "name", "status", "zone", "notice_hour", "language")}


def _operator(row: OperatorRow, cause: str) -> dict[str, Any]:
    shown = _columns(row, "version", "account_id", "name", "email", "mobile", "language", "role", "status")
    return {"cause": cause, "operator_id": row.id, **shown}


FACTS = (
    "credential_id",
    "subject",
    "issuer",
    "serial_number",
    "valid_from",
    "valid_until",
    "key_algorithm",
    "key_bits",
    "profile",
    "chain",
    "multisign",
)
"""What the connector reads from the chosen credential; both sides name it alike."""


def _certificate(row: CertificateRow, cause: str) -> dict[str, Any]:
    own = ("version", "account_id", "alias", "certificate_authority_id", "certificate_authority_name", "status", "scope_of_use")
    told = {"cause": cause, "certificate_id": row.id, **_columns(row, *own, *FACTS)}
    if row.status == "deleted":
        told |= {"alias": "", "scope_of_use": "", "subject": "", "chain": []}
    return told


def _client_service(row: ClientServiceRow, cause: str) -> dict[str, Any]:
    own = ("version", "account_id", "certificate_id", "name", "client_id", "secret_sha256", "status", "reason")
    trust = ("client_certificates", "certificate_required", "jwks")
    return {"cause": cause, "client_service_id": row.id, **_columns(row, *own, "activated_for_epoch", *trust)}
