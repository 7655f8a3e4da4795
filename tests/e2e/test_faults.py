"""Kills and bad input on one stack: nothing is lost, nothing is counted twice, everything stays up."""

import asyncio
import base64
import io
import json
import os
import signal
from collections import defaultdict

import aiohttp
import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from contracts.topics import TOPICS
from embedded.bus import every_record
from embedded.platform_api import ApiRefused, until
from embedded.ports import SERVICES
from embedded.stack import Client, Stack, demo_client, some_hashes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
PORT_BASE = 17_500


async def settled(stack: Stack, certificate_id: str, within_s: float = 40) -> int:
    """`used` once it has not moved for three seconds."""
    loop = asyncio.get_running_loop()
    end, seen, since = loop.time() + within_s, -1, loop.time()
    while loop.time() < end:
        used = await stack.used(certificate_id)
        if used != seen:
            seen, since = used, loop.time()
        elif loop.time() - since > 3:
            return used
        await asyncio.sleep(0.5)
    raise TimeoutError("`used` keeps moving")


async def charged(stack: Stack, certificate_id: str) -> int:
    """What no one else may use: also the block that a killed gateway had in hand, which is reserved until its validity ends."""
    connection = await asyncpg.connect(stack.status["postgres"]["url"].rpartition("/")[0] + "/grant_monitor")
    try:
        query = "SELECT settled + forfeited + reserved FROM grant_epoch WHERE certificate_id::text = $1"
        return int(await connection.fetchval(query, certificate_id))
    finally:
        await connection.close()


async def test_every_part_is_killed_while_clients_sign_and_no_signature_is_lost_or_counted_twice(stack: Stack):
    demo = stack.demo
    certificate_id = demo["certificate_id"]
    credential = (await stack.issuer.get(f"certificates/{certificate_id}"))["credential_id"]
    received: list[str] = []
    stop = asyncio.Event()

    async def keep_signing(name: int) -> None:
        client, n = demo_client(stack), 0
        while not stop.is_set():
            n += 1
            received.extend(await client.sign_at_last(certificate_id, some_hashes(2, seed=f"{name}-{n}-"), within_s=90))
            await asyncio.sleep(0.05)

    await demo_client(stack).sign_at_last(certificate_id, some_hashes(1, seed="first"))
    received.append("first")
    signers = [asyncio.create_task(keep_signing(n)) for n in range(3)]
    try:
        for victim in (*SERVICES, "kafka", "postgres"):
            await asyncio.sleep(1.5)
            status = stack.status
            part = status["services"].get(victim) or status["parts"][victim]
            os.kill(int(part["pid"]), signal.SIGKILL)
            await asyncio.sleep(1)
            await stack.healthy(within_s=60)
    finally:
        stop.set()
        await asyncio.wait_for(asyncio.gather(*signers), 120)

    used = await settled(stack, certificate_id)
    journal = await stack.journal(credential)
    assert used >= len(received), "every signature a client received is counted"
    assert await charged(stack, certificate_id) >= len(journal), "every signature that the CA made is charged"
    totals: dict[str, int] = defaultdict(int)
    for record in await every_record(stack.status["kafka"]["bootstrap"], ["signatures"]):
        event = json.loads(record.value)
        if event["certificate_id"] == certificate_id:
            totals[event["allowance_id"]] = max(totals[event["allowance_id"]], event["total"])
    assert used == sum(totals.values()), "the count is the sum of the allowances' totals"
    assert await stack.mails() == []


async def test_an_answer_lost_after_signing_stays_charged(stack: Stack):
    certificate_id = stack.demo["certificate_id"]
    before = await settled(stack, certificate_id)
    client = demo_client(stack)
    for kind in ("answer-lost", "wrong-key", "wrong-order"):
        await stack.at_ca("POST", "mishaps", {"kind": kind, "count": 1})
        status, body, headers = await client.sign(certificate_id, some_hashes(2, seed=kind))
        assert (status, "signatures" in body, "Retry-After" in headers) == (503, False, True), (kind, body)
    access = await stack.access(certificate_id)
    assert access["state"] == "active"
    assert await settled(stack, certificate_id) == before + 6


POISON = [
    (b"not json", [("ce_type", b"access-grant.v1")]),
    (b"{}", [("ce_type", b"signature-applied.v1")]),
    (b'{"certificate_id": 7}', [("ce_type", b"nobody.v7")]),
    (b"\xff\xfe", []),
    (b"{" + b" " * 900_000 + b"}", [("ce_type", b"account.v1")]),
    (None, [("ce_type", b"account.v1")]),
]


async def test_unreadable_and_unknown_events_become_dead_letters_and_the_services_stay_up(stack: Stack):
    bootstrap = stack.status["kafka"]["bootstrap"]
    pids = {name: told["pid"] for name, told in stack.status["services"].items()}
    producer = AIOKafkaProducer(bootstrap_servers=[bootstrap], acks="all", max_request_size=2_000_000)
    await producer.start()
    try:
        for topic in [t.name for t in TOPICS if t.types]:
            for value, headers in POISON:
                await producer.send_and_wait(topic, value, key=b"poison", headers=headers)
    finally:
        await producer.stop()
    await demo_client(stack).sign_at_last(stack.demo["certificate_id"], some_hashes(1, seed="poisoned"))
    letters = [t.name for t in TOPICS if t.name.startswith("dead-letters.")]

    async def all_told() -> bool:
        told = {record.topic for record in await every_record(bootstrap, letters)}
        return told >= {"dead-letters.grant-monitor", "dead-letters.certificate-registry", "dead-letters.notifier"}

    await until(all_told, what="dead letters", within_s=30, every_s=1)
    await stack.healthy()
    assert {name: told["pid"] for name, told in stack.status["services"].items()} == pids


GOOD_HASH = some_hashes(1)[0]
BAD_SIGNING = [
    ({"credentialID": "nobody", "hashes": [GOOD_HASH]}, "credentialID"),
    ({"hashes": [GOOD_HASH]}, "credentialID"),
    ({"hashes": []}, "Empty hash array"),
    ({"hashes": "x"}, "hash"),
    ({"hashes": ["%%%"]}, "Base64"),
    ({"hashes": [base64.b64encode(b"short").decode()]}, "digest value length"),
    ({"hashes": [7]}, "hash"),
    ({"hashAlgorithmOID": "1.3.14.3.2.26"}, "hashAlgo"),
    ({"signAlgo": "1.2.3.4"}, "signAlgo"),
    ({"hashes": [GOOD_HASH] * 5_000}, "hash"),
]


@pytest.mark.parametrize(("change", "named"), BAD_SIGNING, ids=[n + str(i) for i, (_, n) in enumerate(BAD_SIGNING)])
async def test_a_signing_request_that_is_wrong_is_told_what_is_wrong(stack: Stack, change: dict, named: str):
    whole = {
        "credentialID": stack.demo["certificate_id"],
        "hashes": [GOOD_HASH],
        "hashAlgorithmOID": "2.16.840.1.101.3.4.2.1",
        "signAlgo": "1.2.840.113549.1.1.11",
    }
    body = {**whole, **change}
    if "credentialID" not in change and named == "credentialID":
        del body["credentialID"]
    status, told, _ = await demo_client(stack).call("signatures/signHash", body)
    assert status == 400, told
    assert told["error"] == "invalid_request"
    assert named.lower() in told["error_description"].lower()


RAW = [(b"{", 400), (b"[1,2]", 400), (b'"x"', 400), (b"", 400), (b"\xff", 400), (b" " * 3_000_000, 413)]


@pytest.mark.parametrize(("content", "status"), RAW, ids=[str(n) for n in range(len(RAW))])
async def test_what_is_no_request_is_refused_by_gateway_and_registry(stack: Stack, content: bytes, status: int):
    client = demo_client(stack)
    await client.log_in()
    registry = f"{stack.url('certificate-registry')}/api/v1/client-services"
    calls = [
        (f"{client.gateway}/csc/v2/signatures/signHash", client.token, {status}),
        (registry, stack.demo["operator_api_token"], {status, 422}),
    ]
    for url, token, expected in calls:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        async with aiohttp.ClientSession(headers=headers) as session, session.post(url, data=io.BytesIO(content)) as answer:
            assert answer.status in expected, await answer.text()
            assert "Traceback" not in await answer.text()


async def test_without_a_token_or_with_a_wrong_one_nothing_is_told(stack: Stack):
    stranger = Client(stack.url("signing-gateway"), {})
    for token in ("x", "a.b.c", stack.demo["operator_api_token"]):
        stranger.token = token
        status, _, headers = await stranger.sign(stack.demo["certificate_id"], some_hashes(1))
        assert (status, "WWW-Authenticate" in headers) == (401, True)
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{stack.url('certificate-registry')}/api/v1/certificates") as answer,
    ):
        assert answer.status == 401


async def test_another_accounts_things_do_not_exist(stack: Stack):
    other = await stack.administrator.post("accounts", {"name": "Outra, SA", "zone": "Europe/Lisbon"})
    mine = {"certificates": stack.demo["certificate_id"], "client-services": stack.demo["client_service"]["id"]}
    operator = await stack.administrator.post(
        "operators", {"account_id": other["id"], "name": "Zé Outro", "email": "ze@outra.example", "role": "issuer"}
    )
    token = (await stack.administrator.post(f"operators/{operator['id']}/tokens", {"name": "test", "expires_at": None}))["token"]
    stranger = type(stack.issuer)(stack.url("certificate-registry"), token)
    for kind, known in mine.items():
        for call in (stranger.get(f"{kind}/{known}"), stranger.patch(f"{kind}/{known}", {"status": "inactive"})):
            with pytest.raises(ApiRefused) as refused:
                await call
            assert refused.value.status in {403, 404}
        assert (await stranger.get(kind))["total"] == 0
    with pytest.raises(ApiRefused) as refused:
        await stranger.post(f"certificates/{stack.demo['certificate_id']}/renewals", {})
    assert refused.value.status in {404, 409}
