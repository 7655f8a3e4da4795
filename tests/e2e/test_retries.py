"""Requests that are sent again, and requests answered later, while the gateway that serves them is killed; a second one lives."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import asyncpg
import pytest

from embedded.beside import beside, url
from embedded.platform_api import until
from embedded.stack import Client, Stack, demo_client, some_hashes

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
PORT_BASE = 17_300


@pytest.fixture(scope="module")
def gateways(stack: Stack) -> Iterator[tuple[Client, Client]]:
    """A client at each of two gateways with one database: the stack's own, and one beside it."""
    with beside(stack, {"signing-gateway": {}}):
        yield demo_client(stack), Client(url(stack, "signing-gateway"), stack.demo["client_service"])


@contextmanager
def silent_ca(stack: Stack) -> Iterator[None]:
    """The certificate authority answers nobody within the block."""
    pid = int(stack.status["parts"]["sandbox_ca"]["pid"])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def kill_the_first(stack: Stack) -> None:
    os.kill(int(stack.status["services"]["signing-gateway"]["pid"]), signal.SIGKILL)


async def ready(client: Client) -> bool:
    """Whether a gateway that may still be starting takes requests."""
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{client.gateway}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def looked_up(stack: Stack, database: str, query: str, value: str) -> Any:
    """One value of a service's database."""
    connection = await asyncpg.connect(stack.status["postgres"]["url"].rpartition("/")[0] + f"/{database}")
    try:
        return await connection.fetchval(query, value)
    finally:
        await connection.close()


async def begun(stack: Stack, key: str) -> bool:
    """Whether a gateway has written that it attempts a request with this key."""
    query = "SELECT attempt IS NOT NULL FROM keyed_request WHERE idempotency_key = $1"
    return bool(await looked_up(stack, "signing_gateway", query, key))


async def charged(stack: Stack, certificate_id: str) -> int:
    """What counts against the limit of the grant, lost blocks included."""
    query = "SELECT settled + forfeited + reserved FROM grant_epoch WHERE certificate_id::text = $1"
    return int(await looked_up(stack, "grant_monitor", query, certificate_id))


async def journal_of(stack: Stack) -> list[dict]:
    certificate = await stack.issuer.get(f"certificates/{stack.demo['certificate_id']}")
    return await stack.journal(certificate["credential_id"])


async def test_a_retry_after_kill_9_gets_one_answer_at_any_gateway_and_what_was_made_is_charged(stack, gateways):
    first, second = gateways
    certificate_id, hashes, key = stack.demo["certificate_id"], some_hashes(2, seed="killed"), {"Idempotency-Key": '"killed"'}
    for client in gateways:
        await until(lambda client=client: ready(client), what=f"{client.gateway} to be ready", within_s=90)
        await client.sign_at_last(certificate_id, some_hashes(1, seed=client.gateway), within_s=90)
    made_before = len(await journal_of(stack))
    with silent_ca(stack):
        lost = asyncio.create_task(first.sign(certificate_id, hashes, key))
        await until(lambda: begun(stack, "killed"), what="the attempt's record")
        status, told, _ = await second.sign(certificate_id, hashes, key)
        assert (status, told["sinete_error"]) == (409, "idempotency-key-under-way")
        kill_the_first(stack)
        with pytest.raises(aiohttp.ClientError):
            await lost

    async def retried():
        status, body, headers = await second.sign(certificate_id, hashes, key)
        assert status in (200, 409, 503), body
        return (body, headers) if status == 200 else None

    body, headers = await until(retried, within_s=60, every_s=0.3, what="the retry's answer")
    assert "idempotent-replayed" not in headers
    again = await second.sign(certificate_id, hashes, key)
    assert (again[0], again[1], again[2]["idempotent-replayed"]) == (200, body, "true")
    await stack.healthy(within_s=60)
    assert (await first.sign(certificate_id, hashes, key))[1] == body
    status, refused, _ = await first.sign(certificate_id, some_hashes(1, seed="other"), key)
    assert (status, refused["sinete_error"]) == (422, "idempotency-key-reused")

    made = await journal_of(stack)
    assert len(made) - made_before in (2, 4)
    assert len(made) <= await charged(stack, certificate_id), "every signature that the CA made is charged"


async def test_an_order_whose_gateway_is_killed_ends_as_unknown_and_one_that_waits_is_signed_by_the_other(stack, gateways):
    first, second = gateways
    await stack.healthy(within_s=60)
    certificate_id = stack.demo["certificate_id"]

    async def accepted(client, name):
        status, body, _ = await client.sign(certificate_id, some_hashes(1, seed=name), operationMode="A")
        assert status == 200, body
        return body["responseID"]

    async def decided(response_id):
        status, body, _ = await second.call("signatures/signPolling", {"requestID": response_id})
        return (status, body) if status != 202 else None

    with silent_ca(stack):
        ids = [await accepted(first, f"order {n}") for n in range(4)]
        kill_the_first(stack)
    answers = [await until(lambda each=each: decided(each), within_s=90, every_s=0.3, what="an answer") for each in ids]
    for status, body in answers:
        assert status == 200 or (status, body["sinete_error"]) == (503, "outcome-unknown"), body
    assert answers == [await decided(each) for each in ids]
