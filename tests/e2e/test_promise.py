"""The hard promise under crashes, two of each service beside each other: never one too many, none lost, nobody mailed twice."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import aiohttp
import pytest
from tests.promise.ground import Ground
from tests.promise.invariants import Made, violations

from contracts.topics import TOPICS
from embedded.beside import beside, url
from embedded.bus import every_record, reset_offsets, tell_again
from embedded.parts.holding import embedded
from embedded.parts.kafka import Kafka
from embedded.platform_api import until
from embedded.ports import SERVICES, Ports
from embedded.stack import Client, Stack, demo_client, some_hashes
from embedded.walk import walk

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
PORT_BASE = 17_700
QUIET_S = 13  # a digest waits 10 s for what belongs to it
SLEPT_S = 17  # longer than an allowance near the limit is good for


async def prove(
    stack: Stack, certificate_id: str, epoch: int, received: list[Made], journal: tuple[Made, ...], *, lasting: bool
) -> None:
    """Holds the CA's journal, what clients received, the topic and the database against each other, for one epoch."""
    ground = Ground(stack)
    facts = await ground.epoch(certificate_id, epoch, journal, tuple(received), await ground.topic())
    assert violations(replace(facts, lasting=lasting)) == []


async def picture(stack: Stack) -> dict:
    """What must not change: every grant, every client service, every mail."""
    certificates = (await stack.issuer.get("certificates?page_size=100"))["items"]
    services = (await stack.issuer.get("client-services?page_size=100"))["items"]
    return {
        "access": {c["id"]: c["ca_access"] for c in certificates},
        "services": {s["id"]: (s["status"], s["reason"], s["activated_for_epoch"]) for s in services},
        "mails": sorted((m["to"], m["subject"], m["message_id"]) for m in await stack.mails()),
    }


@pytest.fixture(scope="module")
def beside_them(stack: Stack) -> Iterator[ExitStack]:
    """A second instance of every service but the connector, until the module ends or a test closes them."""
    with ExitStack() as running:
        gateway = {"GRANT_MONITOR_URL": url(stack, "grant-monitor")}
        second = {"grant-monitor": {}, "notifier": {}, "certificate-registry": {}, "signing-gateway": gateway}
        running.enter_context(beside(stack, second))
        yield running


async def signed(client: Client, certificate_id: str, seed: str, received: list[Made]) -> int:
    """One attempt; the status, 0 where the gateway is not there."""
    hashes = some_hashes(1, seed=seed)
    try:
        status, body, _ = await client.sign(certificate_id, hashes)
    except (aiohttp.ClientError, TimeoutError):
        return 0
    received.extend(zip(hashes, body.get("signatures", []), strict=False))
    return status


async def signed_at_last(client: Client, certificate_id: str, hashes: list[str], within_s: float = 30) -> list[Made]:
    """The hashes with their signatures, after as many attempts as it takes."""
    return list(zip(hashes, await client.sign_at_last(certificate_id, hashes, within_s), strict=True))


@pytest.mark.usefixtures("beside_them")
async def test_gateways_that_sleep_and_die_with_allowances_in_hand_never_exceed_the_limit(stack: Stack):
    limited, received = stack.demo["limited"], []
    certificate_id = limited["certificate_id"]
    credential = (await stack.issuer.get(f"certificates/{certificate_id}"))["credential_id"]
    first = Client(stack.url("signing-gateway"), limited["client_service"])
    received += await signed_at_last(first, certificate_id, some_hashes(1))
    second = Client(url(stack, "signing-gateway"), limited["client_service"])
    received += await signed_at_last(second, certificate_id, some_hashes(1), within_s=60)

    await stack.at_ca("POST", "mishaps", {"kind": "slow", "count": 1})
    sleeper = stack.pid("signing-gateway")
    call = asyncio.create_task(signed(first, certificate_id, "slept", received))
    await asyncio.sleep(1)
    os.kill(sleeper, signal.SIGSTOP)
    await asyncio.sleep(SLEPT_S)
    os.kill(sleeper, signal.SIGCONT)
    assert await call == 503, "an allowance that is stale releases nothing"

    pids = [stack.pid("signing-gateway"), stack.pid("grant-monitor")]
    received += await signed_at_last(first, certificate_id, some_hashes(1, seed="awake"))
    await stack.at_ca("POST", "mishaps", {"kind": "slow", "count": 2})
    calls = [asyncio.create_task(signed(first, certificate_id, f"killed {n}", received)) for n in range(2)]
    await asyncio.sleep(1)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert await asyncio.gather(*calls) == [0, 0]

    async def used_up() -> bool:
        await asyncio.gather(*(signed(client, certificate_id, f"{n}", received) for n, client in enumerate([first, second] * 5)))
        access = await stack.access(certificate_id)
        assert access["used"] + access["forfeited"] <= 10
        return access["state"] == "expired" and access["used"] + access["forfeited"] == 10

    await until(used_up, what="the limit used up once the lost blocks' validity ended", within_s=60, every_s=1)
    access = await stack.access(certificate_id)
    assert access["expired_reason"] == "usage"
    await prove(stack, certificate_id, 1, received, await Ground(stack).journal(credential), lasting=True)


@pytest.mark.usefixtures("beside_them")
async def test_expired_renewed_and_activated_through_kills_each_mail_comes_once(stack: Stack):
    demo = stack.demo
    certificate_id, service = demo["certificate_id"], f"client-services/{demo['client_service']['id']}"
    received = await signed_at_last(demo_client(stack), certificate_id, some_hashes(2))
    credential = (await stack.issuer.get(f"certificates/{certificate_id}"))["credential_id"]
    old = await Ground(stack).journal(credential)
    pids = [stack.pid(name) for name in ("grant-monitor", "notifier", "certificate-registry")]
    stack.clock("--advance", "60d")
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    await stack.healthy()

    async def suspended() -> bool:
        return (await stack.issuer.get(service))["reason"] == "access-expired"

    await until(suspended, what="the client service suspended")
    await prove(stack, certificate_id, 1, received, old, lasting=False)

    renewal = await stack.issuer.post(f"certificates/{certificate_id}/renewals", {})
    victim = stack.pid("ca-connector")
    mailbox, home = stack.status["mailbox"]["url"], stack.url("certificate-registry")
    page = await walk(renewal["authorization_url"], stack.ca_user, mailbox, home)
    os.kill(victim, signal.SIGKILL)
    assert page.status == 200

    async def renewed() -> bool:
        return (await stack.access(certificate_id))["epoch"] == 2

    await until(renewed, what="epoch 2")
    await stack.healthy()
    assert await suspended()
    await stack.issuer.patch(service, {"status": "active"})
    await asyncio.sleep(1)
    received = await signed_at_last(demo_client(stack), certificate_id, some_hashes(3, seed="epoch 2"))

    async def told() -> bool:
        about = [m for m in await stack.mails() if '"Invoices"' in m["subject"]]
        return len(about) >= 4 and (await stack.access(certificate_id))["used"] == 3

    await until(told, what="an expiry and a renewal for each active operator", within_s=60)
    mails = Counter((m["to"], m["subject"]) for m in await stack.mails())
    assert set(mails.values()) == {1}, mails
    assert len(mails) == 2 * 4, "warned of and ended by usage; ended by time and renewed"
    made = (await Ground(stack).journal(credential))[len(old) :]
    await prove(stack, certificate_id, 2, received, made, lasting=False)


async def test_offsets_at_zero_and_every_topic_told_twice_change_nothing_and_mail_nobody(stack: Stack, beside_them: ExitStack):
    before, ports = await picture(stack), Ports(PORT_BASE)
    assert before["services"][stack.demo["client_service"]["id"]] == ("active", None, 2), "epoch 1 was told as expired"
    beside_them.close()
    stack.down()
    kafka = Kafka(stack.state / "kafka", ports.of("kafka"), ports.of("kafka-controller"))
    with embedded(kafka):
        records = await every_record(kafka.bootstrap, [topic.name for topic in TOPICS if topic.types])
        await tell_again(kafka.bootstrap, records)
        assert await reset_offsets(kafka.bootstrap, [name for name in SERVICES if name != "signing-gateway"]) > 10
    stack.up()
    await asyncio.sleep(QUIET_S)
    assert await picture(stack) == before
    letters = [topic.name for topic in TOPICS if topic.name.startswith("dead-letters.")]
    assert await every_record(stack.status["kafka"]["bootstrap"], letters) == []
    await demo_client(stack).sign_at_last(stack.demo["certificate_id"], some_hashes(1, seed="after the replay"))
