"""Access to certificates as rows: epochs, sealed tokens, withdrawals, tokens to revoke. `standing` has what the fence asks."""

import json
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from ca_connector.sealing import Sealer
from ca_connector.storage.tables import ACCESS, EPOCH, TO_REVOKE
from ca_connector.walk import CertificateUnknown
from contracts import CaAccessWithdrawn
from messaging import put

By = Literal["certificate-authority", "operator"]


@dataclass(frozen=True)
class KeptTokens:
    """What signs in somebody's name. Instants are seconds since the epoch by our clock."""

    access: str = field(repr=False)
    access_ends: float
    refresh: str | None = field(repr=False)
    sad: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Access:
    """What we may do with a certificate now. Whatever of it changes, `token_version` rises: equal versions are equal accesses."""

    certificate_id: UUID
    certificate_authority_id: UUID
    credential_id: str
    key_digest: str
    multisign: int
    epoch: int
    state: str
    token_version: int
    tokens: KeptTokens | None


async def access_to(session: AsyncSession, certificate_id: UUID, sealer: Sealer, *, lock: bool = False) -> Access:
    """Raises CertificateUnknown."""
    asked = sa.select(ACCESS).where(ACCESS.c.certificate_id == certificate_id)
    row = (await session.execute(asked.with_for_update() if lock else asked)).one_or_none()
    if row is None:
        raise CertificateUnknown("no access was ever granted to this certificate")
    return opened(row, sealer)


def opened(row: sa.Row[Any], sealer: Sealer) -> Access:
    """A row of `ca_access` with its tokens. Raises SealBroken."""
    tokens = None
    if row.tokens:
        place = ("ca_access", row.certificate_id, row.epoch)
        tokens = KeptTokens(**json.loads(sealer.open(row.tokens, *place)))
    columns = {name: getattr(row, name) for name in Access.__dataclass_fields__ if name != "tokens"}
    return Access(**columns, tokens=tokens)


async def key_is_taken(session: AsyncSession, digest: str) -> bool:
    """Whether a certificate of this key is registered already, by whatever CA profile."""
    asked = sa.select(ACCESS.c.certificate_id).where(ACCESS.c.key_digest == digest, ACCESS.c.state != "deleted")
    return await session.scalar(asked.limit(1)) is not None


async def store(session: AsyncSession, access: Access, sealer: Sealer) -> None:
    """Writes the row; the caller holds its lock or it is new."""
    sealed = None
    if access.tokens is not None:
        place = ("ca_access", access.certificate_id, access.epoch)
        sealed = sealer.seal(json.dumps(asdict(access.tokens)).encode(), *place)
    values = {**{name: getattr(access, name) for name in Access.__dataclass_fields__}, "tokens": sealed}
    changed = {name: value for name, value in values.items() if name != "certificate_id"}
    statement = insert(ACCESS).values(values).on_conflict_do_update(index_elements=[ACCESS.c.certificate_id], set_=changed)
    await session.execute(statement)


async def assign_epoch(session: AsyncSession, access: Access, granted_at: datetime, expires_at: datetime) -> None:
    """Records the epoch that `access` now has."""
    values = {
        "certificate_id": access.certificate_id,
        "epoch": access.epoch,
        "certificate_authority_id": access.certificate_authority_id,
        "granted_at": granted_at,
        "expires_at": expires_at,
    }
    await session.execute(sa.insert(EPOCH).values(values))


async def end_of(session: AsyncSession, access: Access) -> datetime:
    """When the newest epoch of `access` ends."""
    asked = sa.select(EPOCH.c.expires_at).where(EPOCH.c.certificate_id == access.certificate_id, EPOCH.c.epoch == access.epoch)
    ends: datetime = (await session.execute(asked)).scalar_one()
    return ends


async def withdrawals_since(session: AsyncSession, authority_id: UUID, since: datetime) -> int:
    """How many grants of a CA were withdrawn by it since then."""
    asked = (
        sa.select(sa.func.count())
        .select_from(EPOCH)
        .where(
            EPOCH.c.certificate_authority_id == authority_id,
            EPOCH.c.withdrawn_at > since,
            EPOCH.c.withdrawn_by == "certificate-authority",
        )
    )
    return await session.scalar(asked) or 0


async def end_access(session: AsyncSession, access: Access, *, by: By, state: str, now: datetime, sealer: Sealer) -> None:
    """The newest epoch is over, its tokens are destroyed here and, when we gave up, revoked there; told once."""
    asked = sa.select(EPOCH.c.withdrawn_at).where(EPOCH.c.certificate_id == access.certificate_id, EPOCH.c.epoch == access.epoch)
    already = await session.scalar(asked) is not None
    if by == "operator" and access.tokens is not None and access.tokens.refresh:
        await queue_revocation(session, access.certificate_authority_id, access.tokens.refresh, now, sealer)
    await store(session, replace(access, state=state, tokens=None, token_version=access.token_version + 1), sealer)
    if already:
        return
    where = (EPOCH.c.certificate_id == access.certificate_id, EPOCH.c.epoch == access.epoch)
    await session.execute(sa.update(EPOCH).where(*where).values(withdrawn_at=now, withdrawn_by=by))
    event = CaAccessWithdrawn(certificate_id=access.certificate_id, epoch=access.epoch, withdrawn_at=now, by=by)
    await put(session, event, at=now)


async def queue_revocation(session: AsyncSession, authority_id: UUID, refresh: str, now: datetime, sealer: Sealer) -> None:
    """The worker revokes this token at its CA."""
    task_id = uuid4()
    sealed = sealer.seal(refresh.encode(), "to_revoke", task_id)
    values = {"id": task_id, "certificate_authority_id": authority_id, "refresh_token": sealed, "attempts": 0, "next_at": now}
    await session.execute(sa.insert(TO_REVOKE).values(values))


async def next_revocation(session: AsyncSession, now: datetime) -> sa.Row[Any] | None:
    """The oldest due task, locked."""
    asked = sa.select(TO_REVOKE).where(TO_REVOKE.c.next_at <= now).order_by(TO_REVOKE.c.next_at).limit(1)
    return (await session.execute(asked.with_for_update(skip_locked=True))).one_or_none()


async def revocation_done(session: AsyncSession, task_id: UUID) -> None:
    """The CA confirmed, or it was tried long enough."""
    await session.execute(sa.delete(TO_REVOKE).where(TO_REVOKE.c.id == task_id))


async def revocation_later(session: AsyncSession, task_id: UUID, attempts: int, now: datetime) -> None:
    """Once more, with a growing pause."""
    pause = timedelta(seconds=min(2**attempts, 3_600))
    await session.execute(sa.update(TO_REVOKE).where(TO_REVOKE.c.id == task_id).values(attempts=attempts, next_at=now + pause))
