"""The commands, on a real database; and the whole process on a real broker."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from certificate_registry import secret
from certificate_registry.app import build
from certificate_registry.commands import create_administrator, retell_topics
from certificate_registry.consumers import consumers
from certificate_registry.settings import Settings
from certificate_registry.storage import operators
from contracts import AccessGrant, Operator
from hosting.database import open_engine, sessions_of
from messaging import Heard, Hearing, Relay, put
from messaging.testing import create_topics, delete_topics

pytestmark = pytest.mark.integration
NAMED = ["--email", "root@sinete.example", "--token-file"]


@pytest.fixture
def settings(migrated: str, tmp_path: Path, kafka_bootstrap: str) -> Settings:
    return Settings(
        kafka_bootstrap=kafka_bootstrap,
        topic_prefix=f"t{uuid4().hex[:8]}.",
        database_url=migrated,
        service_key="unused",
        service_keys=tmp_path,
        listen_port=1,
        admin_port=1,
        public_url="http://127.0.0.1:7400",
        ca_connector_url="http://127.0.0.1:7404",
    )


async def asked(url: str, statement: str) -> list[Any]:
    engine = open_engine(url, pool_size=1)
    async with engine.connect() as connection:
        rows = (await connection.execute(text(statement))).all()
    await engine.dispose()
    return [tuple(row) for row in rows]


async def test_the_first_administrator_gets_a_token_in_a_file_that_only_its_owner_reads(settings, make, tmp_path, migrated):
    file = tmp_path / "token"
    for _ in range(2):
        assert await create_administrator(settings, lambda: make.now, [*NAMED, str(file)]) == 0
    assert file.stat().st_mode & 0o777 == 0o600
    token = file.read_text().strip()
    engine = open_engine(migrated, pool_size=1)
    async with sessions_of(engine)() as session:
        caller = await operators.by_token(session, token, make.now)
    await engine.dispose()
    assert caller is not None
    assert caller.role == "administrator"
    kept = await asked(migrated, "SELECT email FROM operator")
    assert kept == [("root@sinete.example",)]
    digests = await asked(migrated, "SELECT digest, expires_at FROM api_token")
    assert len(digests) == 2
    assert (secret.digest(token), None) in digests


async def test_everything_is_told_again_with_the_version_it_has(settings, make, tmp_path, migrated):
    await create_administrator(settings, lambda: make.now, [*NAMED, str(tmp_path / "token")])
    assert await retell_topics(settings, lambda: make.now, ["accounts", "operators", "certificates", "client-services"]) == 0
    told = [Operator.model_validate_json(body) for (body,) in await asked(migrated, "SELECT body FROM outbox ORDER BY id")]
    assert [(event.cause, event.version) for event in told] == [("created", 1), ("told-again", 1)]


async def until(true: Any, within_s: float = 30) -> None:
    async with asyncio.timeout(within_s):
        while not await true():
            await asyncio.sleep(0.1)


async def test_what_is_heard_on_a_real_bus_is_kept_and_what_is_changed_is_told_there(settings, make, migrated, tmp_path):
    bootstrap, prefix = settings.kafka_bootstrap, settings.topic_prefix
    await create_topics(bootstrap, prefix)
    engine = open_engine(migrated)
    sessions = sessions_of(engine)
    hearing = Hearing(bootstrap, service="certificate-registry", prefix=prefix)
    consumers(hearing, sessions, lambda: make.now)
    relay = Relay(engine, bootstrap, service="certificate-registry", clock=lambda: make.now, prefix=prefix)
    listener, heard = Hearing(bootstrap, service="notifier", prefix=prefix), []

    @listener.hears(Operator)
    async def on_operator(record: Heard) -> None:
        heard.append(record.event)

    tasks = [asyncio.create_task(work()) for work in (hearing.run, relay.run, listener.run)]
    try:
        await create_administrator(settings, lambda: make.now, [*NAMED, str(tmp_path / "token")])
        async with sessions.begin() as session:
            grant: AccessGrant = make.grant(uuid4())
            await put(session, grant, at=make.now)

        async def both() -> bool:
            return bool(heard) and bool(await asked(migrated, "SELECT 1 FROM access_grant"))

        await until(both)
        assert [event.role for event in heard] == ["administrator"]
    finally:
        for part in (hearing, listener, relay):
            await part.stop()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=10)
        await engine.dispose()
        await delete_topics(bootstrap, prefix)


async def test_the_process_is_put_together_twice_without_a_trace_of_the_first(settings, make):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    keyed = Settings(**{**settings.model_dump(), "service_key": pem.decode()})
    first, second = (build(keyed, lambda: make.now) for _ in range(2))
    assert first.routes is not second.routes
    for app in (first, second):
        for step in reversed(app.on_stop):
            await step()
