"""CA profiles as rows. The client secret is sealed; only `client_of` opens it."""

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession

from ca_connector.oauth import ClientOfCa
from ca_connector.sealing import Sealer
from ca_connector.storage.tables import AUTHORITY
from ca_connector.walk import AuthorityUnknown
from contracts.ca_connector import CertificateAuthority, CertificateAuthorityChange, NewCertificateAuthority


class NameTaken(Exception):
    """Another CA profile has this name."""


async def all_profiles(session: AsyncSession) -> list[CertificateAuthority]:
    """By name."""
    rows = await session.execute(sa.select(AUTHORITY).order_by(AUTHORITY.c.name))
    return [_shown(row) for row in rows]


async def profile(session: AsyncSession, authority_id: UUID) -> CertificateAuthority:
    """Raises AuthorityUnknown."""
    return _shown(await _row(session, authority_id))


async def client_of(session: AsyncSession, authority_id: UUID, sealer: Sealer) -> ClientOfCa:
    """Who we are at this CA, with the secret."""
    row = await _row(session, authority_id)
    secret = sealer.open(row.client_secret, "certificate_authority", row.id).decode()
    return ClientOfCa(row.issuer, row.client_id, secret)


async def add_profile(session: AsyncSession, new: NewCertificateAuthority, sealer: Sealer, now: datetime) -> CertificateAuthority:
    """Raises NameTaken."""
    await _refuse_name_taken(session, new.name, None)
    authority_id = uuid4()
    values = new.model_dump(mode="json", exclude={"client_secret"})
    secret = sealer.seal(new.client_secret.get_secret_value().encode(), "certificate_authority", authority_id)
    row = {**values, "id": authority_id, "client_secret": secret, "status": "active", "created_at": now}
    await session.execute(sa.insert(AUTHORITY).values(row))
    return await profile(session, authority_id)


async def change_profile(
    session: AsyncSession, authority_id: UUID, change: CertificateAuthorityChange, sealer: Sealer
) -> CertificateAuthority:
    """Raises AuthorityUnknown or NameTaken. Grants already given keep their policy."""
    await _row(session, authority_id)
    values: dict[str, Any] = change.model_dump(mode="json", exclude={"client_secret"}, exclude_none=True)
    if change.name is not None:
        await _refuse_name_taken(session, change.name, authority_id)
    if change.client_secret is not None:
        secret = change.client_secret.get_secret_value().encode()
        values["client_secret"] = sealer.seal(secret, "certificate_authority", authority_id)
    if values:
        await session.execute(sa.update(AUTHORITY).where(AUTHORITY.c.id == authority_id).values(values))
    return await profile(session, authority_id)


async def lock(session: AsyncSession, authority_id: UUID) -> None:
    """Until the transaction ends, nobody else who asks for this lock gets it."""
    await session.execute(sa.select(AUTHORITY.c.id).where(AUTHORITY.c.id == authority_id).with_for_update())


async def _refuse_name_taken(session: AsyncSession, name: str, own: UUID | None) -> None:
    found = await session.scalar(sa.select(AUTHORITY.c.id).where(AUTHORITY.c.name == name))
    if found is not None and found != own:
        raise NameTaken(f"there is a CA profile named {name} already")


async def _row(session: AsyncSession, authority_id: UUID) -> sa.Row[Any]:
    row = (await session.execute(sa.select(AUTHORITY).where(AUTHORITY.c.id == authority_id))).one_or_none()
    if row is None:
        raise AuthorityUnknown("no such CA profile")
    return row


def _shown(row: sa.Row[Any]) -> CertificateAuthority:
    names = CertificateAuthority.model_fields
    return CertificateAuthority.model_validate({name: getattr(row, name) for name in names})
