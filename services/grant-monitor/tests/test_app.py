"""Two instances of the whole monitor on a real bus, which tells everything twice."""

import asyncio
import os
import socket
import subprocess
import sys
from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import httpx2
import pytest

from contracts import AccessGrant, AllowanceCall, Usage
from contracts.topics import TOPICS
from grant_monitor.app import build
from grant_monitor.settings import Settings
from hosting import Clock
from hosting.service_tokens import TokenIssuer
from messaging import StateTopics, Teller
from messaging.testing import create_topics, delete_topics

pytestmark = pytest.mark.integration

WITHIN_S = 40


async def until(condition):
    """Waits until `condition()` holds. Bounded."""
    async with asyncio.timeout(WITHIN_S):
        while not condition():
            await asyncio.sleep(0.05)


class Listener:
    """Everything that the monitor told, by topic key, in order."""

    def __init__(self, bootstrap, prefix):
        self.grants, self.usage = [], []
        apply = {AccessGrant: self.grants.append, Usage: self.usage.append}
        self.topics = StateTopics(bootstrap, service="listener", apply=apply, prefix=prefix)

    def newest(self, certificate_id):
        told = [grant for grant in self.grants if grant.certificate_id == certificate_id]
        return max(told, key=lambda grant: grant.version, default=None)


@asynccontextmanager
async def running(app):
    """`app` as the process runs it."""
    for step in app.on_start:
        await step()
    tasks = [asyncio.create_task(work()) for work in app.background]
    try:
        yield app
    finally:
        for step in reversed(app.on_stop):
            await asyncio.wait_for(step(), 15)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=15)


@pytest.fixture
async def prefix(kafka_bootstrap):
    made = f"t{uuid4().hex[:8]}."
    await create_topics(
        kafka_bootstrap, made, {topic.name for topic in TOPICS if "grant-monitor" in (topic.told_by, *topic.heard_by)}
    )
    yield made
    await delete_topics(kafka_bootstrap, made)


@pytest.fixture
def settings_of(database, kafka_bootstrap, service_keys, tmp_path, prefix):
    return Settings(
        kafka_bootstrap=kafka_bootstrap,
        topic_prefix=prefix,
        database_url=database.url,
        service_key=service_keys["grant-monitor"],
        service_keys=tmp_path / "service_keys.json",
        listen_port=1,
        admin_port=1,
    )


async def test_a_grant_is_opened_used_warned_of_and_ended_once_though_all_is_told_twice(
    settings_of, service_keys, clock, make, database
):
    settings, told = settings_of, []
    listener = Listener(settings.kafka_bootstrap, settings.topic_prefix)
    teller = Teller(settings.kafka_bootstrap, service="anybody", prefix=settings.topic_prefix)

    async def tell(*events):
        told.extend(events)
        for event in events:
            await teller.tell(event, at=clock.now)

    async with AsyncExitStack() as stack:
        following = asyncio.create_task(listener.topics.run())
        stack.callback(following.cancel)
        stack.push_async_callback(teller.stop)
        apps = [await stack.enter_async_context(running(build(settings, clock))) for _ in range(2)]
        await tell(make.grant(limit=100))
        await until(lambda: listener.newest(make.certificate_id))
        want = make.want(need=60)
        await ask(apps[0], service_keys, clock, want)
        await tell(*(make.applied(want, total) for total in range(1, 42)))
        await until(lambda: listener.newest(make.certificate_id).used == 41)
        await until(lambda: any(usage.total == 41 for usage in listener.usage))
        for days in (53, 54):
            clock.now = make.granted_at + timedelta(days=days)
            await until(lambda: Counter(grant.cause for grant in listener.grants)["warned"] == days - 52)  # noqa: B023 - awaited here
        for event in told:
            await teller.tell(event, at=clock.now)
        await tell(make.applied(make.want(), 1))
        clock.now = make.granted_at + timedelta(days=60)
        await until(lambda: listener.newest(make.certificate_id).state == "expired")
        ready = await apps[0].health.readiness()
        assert ready.ready, ready.checks
    causes = Counter(grant.cause for grant in listener.grants if grant.cause != "counted")
    assert causes == {"opened": 1, "warned": 2, "expired": 1}
    versions = [grant.version for grant in listener.grants]
    assert versions == sorted(set(versions))
    last = listener.newest(make.certificate_id)
    assert (last.used, last.expired_reason, last.last_expired.epoch) == (41, "time", 1)
    [service] = await database.rows("service_usage")
    assert service["total"] == 41


async def ask(app, service_keys, clock: Clock, want):
    """One allowance, from the instance itself."""
    token = TokenIssuer("signing-gateway", service_keys["signing-gateway"], clock).issue("grant-monitor")
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app.routes), base_url="http://grant-monitor") as client:
        answer = await client.post(
            "/internal/v1/allowances",
            content=AllowanceCall(holder="gw-1", want=[want]).model_dump_json(),
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
    assert answer.json()["answers"][0]["kind"] == "granted", answer.text


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [taken.getsockname()[1] for taken in sockets]
    for taken in sockets:
        taken.close()
    return ports


@pytest.fixture
def a_process(fresh_database, kafka_bootstrap, service_keys, tmp_path, prefix):
    """Starts `python -m grant_monitor` with any arguments, on a database that nobody has migrated."""
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    for name, value in (("database_url", fresh_database), ("service_key", service_keys["grant-monitor"])):
        (secrets / name).touch(0o600)
        (secrets / name).write_text(value)
    port, admin = free_ports(2)
    environment = {
        **os.environ,
        "SECRETS_DIR": str(secrets),
        "SERVICE_KEYS": str(tmp_path / "service_keys.json"),
        "KAFKA_BOOTSTRAP": kafka_bootstrap,
        "TOPIC_PREFIX": prefix,
        "LISTEN_PORT": str(port),
        "ADMIN_PORT": str(admin),
    }
    started = []

    def start(*args):
        process = subprocess.Popen(
            [sys.executable, "-m", "grant_monitor", *args],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process, admin

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=10)


async def test_monitors_that_come_and_go_in_the_middle_of_batches_count_each_signature_once(settings_of, clock, make, database):
    wants = [make.want(uuid4(), need=50, service=uuid4()) for _ in range(24)]
    async with database.books() as books:
        for want in wants:
            books.open(make.grant(want.certificate_id, limit=10**9))
            books.answer(want, "gw-1")
    teller = Teller(settings_of.kafka_bootstrap, service="signing-gateway", prefix=settings_of.topic_prefix)

    async def tell():
        for total in range(1, 31):
            await asyncio.gather(*(teller.tell(make.applied(want, total), at=clock.now) for want in wants))

    async def counted(least):
        async with asyncio.timeout(2 * WITHIN_S):
            while (found := sum(row["total"] for row in await database.rows("service_usage"))) < least:
                await asyncio.sleep(0.05)
        return found

    async with AsyncExitStack() as stack:
        stack.push_async_callback(teller.stop)
        async with running(build(settings_of, clock)):
            telling = asyncio.create_task(tell())
            await counted(24)
            await stack.enter_async_context(running(build(settings_of, clock)))
            await counted(240)
        await stack.enter_async_context(running(build(settings_of, clock)))
        await telling
        assert await counted(720) == 720
    assert {epoch["counted"] for epoch in await database.rows("grant_epoch")} == {30}
    assert {row["signatures"] for row in await database.rows("usage_day")} == {30}


async def test_the_process_migrates_becomes_ready_and_stops_when_told(a_process):
    process, admin = a_process()
    async with httpx2.AsyncClient() as client, asyncio.timeout(WITHIN_S):
        while process.poll() is None:
            try:
                if (await client.get(f"http://127.0.0.1:{admin}/readyz")).status_code == 200:
                    break
            except httpx2.TransportError:
                pass
            await asyncio.sleep(0.1)
        metrics = (await client.get(f"http://127.0.0.1:{admin}/metrics")).text
    process.terminate()
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0, said
    for name in ("allowance_denied_total", "usage_discrepancy_total", "allowance_open", "grant_used", "outbox_pending"):
        assert f"# HELP {name} " in metrics or f"# TYPE {name} " in metrics, name
    assert "Traceback" not in said, said


def test_the_commands_migrate_and_tell_again(a_process):
    for args, says in (
        (("migrate",), ""),
        (("retell", "access-grants", "usage"), "access-grants: 0 states will be told again\nusage: 0 states"),
        (("replay-dead-letters",), "0 dead letters"),
    ):
        process, _ = a_process(*args)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert says in said
    process, _ = a_process("retell", "accounts")
    said, _ = process.communicate(timeout=60)
    assert (process.returncode, "accounts: not told by the grant monitor" in said) == (2, True)
