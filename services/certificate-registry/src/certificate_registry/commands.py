"""Commands besides serving: the first administrator, the client CA, and telling everything again."""

import argparse
import os
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry import spelling
from certificate_registry.client_ca import new_client_ca
from certificate_registry.settings import Settings
from certificate_registry.storage import operators
from certificate_registry.storage.audit_trail import record
from certificate_registry.storage.tables import AccountRow, CertificateRow, ClientServiceRow, OperatorRow
from certificate_registry.storage.told import TellableRow, state_of, tell
from hosting import Clock
from hosting.clock import host_utc
from hosting.database import open_engine, sessions_of
from messaging import retell

_TOPICS: dict[str, type[TellableRow]] = {
    "accounts": AccountRow,
    "operators": OperatorRow,
    "certificates": CertificateRow,
    "client-services": ClientServiceRow,
}
AT_ONCE = 500


async def create_administrator(settings: Settings, clock: Clock, args: list[str]) -> int:
    """Makes the administrator of that e-mail if there is none, and writes a new, endless token into a file of mode 0600."""
    parser = argparse.ArgumentParser("create-administrator")
    parser.add_argument("--email", required=True, type=spelling.email)
    parser.add_argument("--token-file", required=True, type=Path)
    parser.add_argument("--name", default="Administrator", type=spelling.named)
    told = parser.parse_args(args)
    engine = open_engine(settings.database_url.get_secret_value(), pool_size=1)
    try:
        async with sessions_of(engine).begin() as session:
            operator = await operators.by_email(session, told.email, lock=True)
            now = clock()
            if operator is None:
                operator = operators.new_operator(
                    name=told.name, email=told.email, role="administrator", account_id=None, now=now
                )
                session.add(operator)
                await tell(session, operator, "created", now)
            elif operator.role != "administrator":
                parser.error(f"{told.email} is an operator of role {operator.role}; take another e-mail")
            token_id, token = operators.add_token(session, operator.id, "create-administrator", None, now)
            record(
                session,
                "token-made",
                actor="create-administrator",
                kind="operator",
                id=operator.id,
                account_id=None,
                now=now,
                token_id=token_id,
            )
            _write_secret(told.token_file, token)
    finally:
        await engine.dispose()
    return 0


async def make_client_ca(settings: Settings, clock: Clock, args: list[str]) -> int:
    """Makes a new authority for client certificates: three files, for its two secrets and its setting. Overwrites none."""
    _ = settings, clock
    parser = argparse.ArgumentParser("new-client-ca")
    parser.add_argument("--key-file", required=True, type=Path)
    parser.add_argument("--password-file", required=True, type=Path)
    parser.add_argument("--certificate-file", required=True, type=Path)
    parser.add_argument("--name", default="Sinete client CA", type=spelling.named)
    told = parser.parse_args(args)
    files = (told.key_file, told.password_file, told.certificate_file)
    if there := [str(file) for file in files if file.exists()]:
        parser.error(f"{', '.join(there)}: there already; certificates issued under it would hold no more. Take another name")
    made = new_client_ca(told.name, host_utc())
    for file, content in zip(files, (made.key, made.password, made.certificate), strict=True):
        _write_secret(file, content.decode().strip())
    told.certificate_file.chmod(0o644)
    return 0


def _write_secret(file: Path, token: str) -> None:
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(token + "\n")
    fresh.replace(file)


async def retell_topics(settings: Settings, clock: Clock, args: list[str]) -> int:
    """Tells every state of the named topics again, with the version it has."""
    parser = argparse.ArgumentParser("retell")
    parser.add_argument("topics", nargs="+", choices=sorted(_TOPICS))
    told = parser.parse_args(args)
    engine = open_engine(settings.database_url.get_secret_value(), pool_size=1)
    try:
        for topic in told.topics:
            last = None
            while True:
                async with sessions_of(engine).begin() as session:
                    rows = await _next(session, _TOPICS[topic], last)
                    await retell(session, [state_of(row, "told-again") for row in rows], clock())
                if not rows:
                    break
                last = rows[-1].id
    finally:
        await engine.dispose()
    return 0


async def _next(session: AsyncSession, kind: Any, last: object) -> list[TellableRow]:
    """The next rows by id, locked, so that none of them is told in another order than it changes."""
    statement = select(kind).order_by(kind.id).limit(AT_ONCE).with_for_update()
    if kind is CertificateRow:
        statement = statement.where(CertificateRow.status != "pending")
    if last is not None:
        statement = statement.where(kind.id > last)
    rows: list[TellableRow] = list((await session.scalars(statement)).all())
    return rows
