"""Real processes on the real bus: two at once, killed between the server's 250 and our record, told everything again."""

import asyncio
import json
import os
import signal
import socket
import sys
from base64 import b64encode
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey
from sqlalchemy import select, update

from contracts import NoticeSent, Told, Warned
from hosting import host_utc
from messaging import Heard, Hearing, Teller
from messaging.testing import create_topics, delete_topics
from notifier.storage.tables import access_grant, mail

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Bus:
    """The topics of one test."""

    bootstrap: str
    prefix: str
    teller: Teller

    async def tell(self, *events: Told) -> None:
        for event in events:
            await self.teller.tell(event, at=host_utc())


@pytest.fixture
async def bus(kafka_bootstrap):
    prefix = f"t{uuid4().hex[:8]}."
    await create_topics(kafka_bootstrap, prefix)
    teller = Teller(kafka_bootstrap, service="test", prefix=prefix)
    await teller.start()
    yield Bus(kafka_bootstrap, prefix, teller)
    await teller.stop()
    await delete_topics(kafka_bootstrap, prefix)


@pytest.fixture
def environment(world, bus, certificate_files, tmp_path: Path) -> dict[str, str]:
    encoding, container = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    pem = Ed25519PrivateKey.generate().private_bytes(encoding, container, serialization.NoEncryption()).decode()
    keys = {"keys": [OKPKey.import_key(pem, {"kid": "notifier"}).as_dict(private=False)]}
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    secrets = {
        "database_url": world.url,
        "service_key": pem,
        "smtp_password": world.mailbox.password,
        "master_key": b64encode(bytes(32)).decode(),
    }
    for name, value in secrets.items():
        (tmp_path / name).write_text(value)
        (tmp_path / name).chmod(0o600)
    return {
        "PATH": os.environ["PATH"],
        "SECRETS_DIR": str(tmp_path),
        "SERVICE_KEYS": str(tmp_path / "keys.json"),
        "KAFKA_BOOTSTRAP": bus.bootstrap,
        "TOPIC_PREFIX": bus.prefix,
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(world.mailbox.port),
        "SMTP_USERNAME": "sinete",
        "SMTP_CA_FILE": str(certificate_files[0]),
        "MAIL_FROM": "Sinete <notices@sinete.example>",
        "BACK_OFFICE_URL": "https://office.example",
    }


@asynccontextmanager
async def notifier(environment: dict[str, str]):
    """One process; ended with SIGTERM unless it is dead already. Yields its pid and its admin address."""
    admin = free_port()
    ports = {"LISTEN_PORT": str(free_port()), "ADMIN_PORT": str(admin)}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "notifier", env=environment | ports)
    try:
        yield process, f"http://127.0.0.1:{admin}"
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) in {0, -signal.SIGKILL}


async def ready(admin: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{admin}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def a_warning(world, bus, *names: str) -> list[Told]:
    """The account, its operators and a certificate whose grant crossed today's threshold, told on the bus."""
    certificate, today = uuid4(), host_utc().date()
    grant = world.grant(certificate, expires_at=host_utc() + timedelta(days=6), warned=Warned(crossing_time=today), zone="UTC")
    told = [world.account(), *(world.operator(name) for name in names), world.certificate(certificate), grant]
    await bus.tell(*told)
    return told


async def statuses(world) -> list[str]:
    async with world.sessions() as session:
        return list(await session.scalars(select(mail.c.status)))


@pytest.fixture
async def heard(bus):
    """The notices that were told on the bus."""
    told_of: list[NoticeSent] = []
    hearing = Hearing(bus.bootstrap, service="test", prefix=bus.prefix)

    @hearing.hears(NoticeSent)
    async def on_notice(told: Heard) -> None:
        told_of.append(told.event)

    listening = asyncio.create_task(hearing.run())
    yield told_of
    await hearing.stop()
    await listening


async def test_two_processes_mail_once_tell_of_it_and_mind_no_repetition(world, bus, environment, heard, until):
    told = await a_warning(world, bus, "Ana", "Rui")
    async with notifier(environment) as (_, one), notifier(environment) as (_, two):
        await until(lambda: ready(one))
        await until(lambda: ready(two))

        async def all_told() -> bool:
            return len({event.message_id for event in heard}) == 2

        await until(all_told)
        await bus.tell(*told, *told)
        await bus.tell(world.grant(told[-1].certificate_id, version=2, epoch=3, state="superseded"))

        async def last_is_heard() -> bool:
            async with world.sessions() as session:
                return await session.scalar(select(access_grant.c.version)) == 2

        await until(last_is_heard)
        async with aiohttp.ClientSession() as session, session.get(f"{one}/metrics") as answer:
            metrics = await answer.text()
        for name in ("mail_due", "mail_oldest_due_seconds", "mail_sent_total", "mail_unknown_total"):
            assert f"\n{name}" in metrics
    assert sorted(to for to, _ in world.mailbox.mails) == ["ana@exemplo.example", "rui@exemplo.example"]
    assert sorted(event.message_id for event in heard) == sorted(world.mailbox.message_ids())


async def test_a_kill_between_the_250_and_the_record_repeats_under_the_same_message_id(world, bus, environment, until):
    await a_warning(world, bus, "Ana")
    async with notifier(environment) as (process, _):
        world.mailbox.taken = process.kill
        await asyncio.wait_for(process.wait(), 60)
    assert len(world.mailbox.mails) == 1
    assert await statuses(world) == ["due"]
    world.mailbox.taken = lambda: None
    async with world.sessions.begin() as session:
        await session.execute(update(mail).values(claimed_until=host_utc()))
    async with notifier(environment):

        async def sent() -> bool:
            return await statuses(world) == ["sent"]

        await until(sent)
    assert len(world.mailbox.mails) == 2
    assert len(set(world.mailbox.message_ids())) == 1
