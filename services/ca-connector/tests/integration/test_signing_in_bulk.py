"""Several items and several callers at once, over real connections: what goes together, and what each is told."""

import asyncio
import json
from base64 import b64decode, b64encode
from collections import Counter
from contextlib import asynccontextmanager, nullcontext
from hashlib import sha256
from uuid import uuid4

import aiohttp
import pytest
import uvicorn
from sqlalchemy import text

from ca_connector import signing
from ca_connector.fence import LEASE_S
from contracts import CaAccessWithdrawn
from hosting.whole_answers import AnswersWhole

pytestmark = pytest.mark.integration
SIGN, TOKEN = "csc/v2/signatures/signHash", "oauth2/token"


def an_item(certificate, count=1, *, epoch=1, hashes=None, **changes):
    return {
        "item_id": str(uuid4()),
        "certificate_id": str(certificate),
        "epoch": epoch,
        "hashes": hashes or [b64encode(sha256(uuid4().bytes).digest()).decode() for _ in range(count)],
        "hash_algorithm_oid": "2.16.840.1.101.3.4.2.1",
        "sign_algorithm_oid": "1.2.840.10045.4.3.2",
        **changes,
    }


async def until(true):
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.005)


class Gateway:
    """Calls one connector over HTTP and reads its lines as they come."""

    def __init__(self, connector, url, session):
        self.connector, self.url, self.session = connector, url, session
        self.length = None  # of the answer that is being read, where it came as a whole

    @asynccontextmanager
    async def call(self, *items):
        headers = {
            "Authorization": f"Bearer {self.connector.issuers['signing-gateway'].issue('ca-connector')}",
            "Accept": "application/x-ndjson",
        }
        url = f"{self.url}/internal/v1/signatures"
        async with self.session.post(url, json={"items": items}, headers=headers) as answer:
            assert (answer.status, answer.content_type) == (200, "application/x-ndjson")
            self.length = answer.content_length
            yield answer.content

    async def sign(self, *items):
        """The results in the order of the items; of one item, its result."""
        async with self.call(*items) as lines:
            told = {each["item_id"]: each for each in [json.loads(line) async for line in lines]}
        results = [told[item["item_id"]] for item in items]
        return results if len(items) > 1 else results[0]


@pytest.fixture
async def served():
    """Serves instances on real ports."""
    running = []

    async def serve(connector):
        config = uvicorn.Config(connector.routes, port=0, log_config=None, lifespan="off", http=AnswersWhole)
        server = uvicorn.Server(config)
        server.capture_signals = nullcontext
        task = asyncio.create_task(server.serve())
        await until(lambda: server.started)
        session = aiohttp.ClientSession()
        running.append((server, task, session))
        return Gateway(connector, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", session)

    yield serve
    for server, task, session in running:
        await session.close()
        server.should_exit = True
        await task


@pytest.fixture
async def one_by_one(a_connector):
    """A connector that makes one call for a certificate at a time."""
    return await a_connector(ca_calls_per_certificate=1, ca_timeout_s=60)


@pytest.fixture
async def gateway(served, one_by_one):
    return await served(one_by_one)


@pytest.fixture
async def certificate(one_by_one):
    return (await one_by_one.registered(await one_by_one.profile()))["certificate_id"]


@pytest.fixture
async def other_certificate(one_by_one, certificate):
    return (await one_by_one.registered(await one_by_one.profile(), "SEAL-2"))["certificate_id"]


@pytest.fixture
async def behind(gateway, certificate, ca):
    """Has items wait behind a call that the CA holds back: `release, tasks = await behind(item, …)`."""
    first = []

    async def wait(*items):
        ca.held_back["SEAL-1"] = asyncio.Event()
        first.append(asyncio.create_task(gateway.sign(an_item(certificate))))
        await until(lambda: len(ca.asked) == 1)
        tasks = [asyncio.create_task(gateway.sign(item)) for item in items]
        await asyncio.sleep(
            0.2
        )  # nothing tells when they have arrived; one that comes late is coalesced less and signed all the same
        assert len(ca.asked) == 1
        return ca.held_back["SEAL-1"].set, tasks

    yield wait
    for task in first:
        assert (await task)["outcome"] == "signed"


async def test_what_is_known_at_once_is_answered_as_a_whole_and_what_is_not_in_parts(gateway, certificate, other_certificate, ca):
    ca.held_back["SEAL-2"] = asyncio.Event()
    async with gateway.call(an_item(certificate)) as lines:
        assert json.loads(await lines.read())["outcome"] == "signed"
        assert lines.total_bytes == gateway.length
    async with gateway.call(an_item(certificate), an_item(other_certificate)) as lines:
        assert gateway.length is None
        assert json.loads(await lines.readline())["outcome"] == "signed"
        ca.held_back["SEAL-2"].set()
        assert json.loads(await lines.read())["outcome"] == "signed"


async def test_what_waits_behind_a_call_goes_together_in_the_next_and_each_gets_its_own(behind, certificate, ca):
    items = [an_item(certificate) for _ in range(3)]
    release, tasks = await behind(*items)
    release()
    for item, result in zip(items, await asyncio.gather(*tasks), strict=True):
        assert [b64decode(each) for each in result["signatures"]] == [b"signed " + b64decode(each) for each in item["hashes"]]
    assert ca.asked == [1, 3]


async def test_a_call_takes_no_more_than_the_ca_does_and_no_item_is_torn(behind, certificate, ca):
    release, tasks = await behind(*(an_item(certificate, count) for count in (2, 2, 1)))
    release()
    assert {result["outcome"] for result in await asyncio.gather(*tasks)} == {"signed"}
    assert sorted(ca.asked) in ([1, 2, 3], [1, 1, 2, 2])


async def test_items_of_one_call_go_together_by_certificate_and_algorithms(gateway, certificate, other_certificate, ca):
    other_algorithm = {"sign_algorithm_oid": "1.2.840.10045.4.3.3"}
    items = [
        *(an_item(each) for each in (certificate, other_certificate, certificate, other_certificate)),
        an_item(certificate, **other_algorithm),
    ]
    assert {result["outcome"] for result in await gateway.sign(*items)} == {"signed"}
    assert sorted(ca.asked) == [1, 2, 2]


async def test_a_slow_ca_holds_up_no_item_of_another(gateway, certificate, other_certificate, ca):
    ca.held_back["SEAL-1"] = asyncio.Event()
    slow, fast = an_item(certificate), an_item(other_certificate)
    async with gateway.call(slow, fast) as lines:
        assert json.loads(await lines.readline())["item_id"] == fast["item_id"]
        ca.held_back["SEAL-1"].set()
        assert json.loads(await lines.readline())["item_id"] == slow["item_id"]
        assert await lines.readline() == b""


async def test_one_refused_hash_fails_nobody_it_was_sent_with(behind, certificate, ca):
    items = [an_item(certificate) for _ in range(3)]
    ca.disliked = {*items[1]["hashes"]}
    release, tasks = await behind(*items)
    release()
    results = await asyncio.gather(*tasks)
    assert [result["outcome"] for result in results] == ["signed", "refused", "signed"]
    assert results[1]["reason"] == "ca-refused"
    assert Counter(ca.journal).most_common(1)[0][1] == 1


async def test_a_refusal_of_the_credential_is_not_asked_again_for_each(behind, certificate, ca):
    release, tasks = await behind(*(an_item(certificate) for _ in range(3)))
    disabled = {"error": "invalid_request", "error_description": "The credential identified by credentialID is disabled"}
    ca.moods[SIGN].append((400, disabled))
    release()
    assert {result["reason"] for result in await asyncio.gather(*tasks)} == {"credential-disabled"}
    assert ca.calls[SIGN] == 2


@pytest.mark.parametrize("mood", [500, "cut", (200, {"signatures": ["AA=="]})])
async def test_an_unknown_outcome_is_everybodys_and_nothing_of_it_is_sent_again(behind, certificate, ca, mood):
    release, tasks = await behind(*(an_item(certificate) for _ in range(3)))
    ca.moods[SIGN].append(mood)
    release()
    assert [result["outcome"] for result in await asyncio.gather(*tasks)] == ["unknown"] * 3
    assert ca.calls[SIGN] == 2


async def test_a_token_that_dies_while_items_wait_is_refreshed_once_for_all_of_them(behind, certificate, ca):
    release, tasks = await behind(*(an_item(certificate) for _ in range(3)))
    ca.access.clear()
    before = ca.calls[TOKEN]
    release()
    assert {result["outcome"] for result in await asyncio.gather(*tasks)} == {"signed"}
    assert ca.calls[TOKEN] == before + 1


async def test_an_epoch_that_ends_while_an_item_waits_is_refused_when_its_turn_comes(behind, certificate, ca, clock):
    release, (task,) = await behind(an_item(certificate))
    clock.move(days=60)
    release()
    assert (await task)["reason"] == "epoch-over"
    assert len(ca.journal) == 1


async def test_access_given_up_at_another_instance_while_an_item_waits_is_refused(behind, certificate, ca, a_connector):
    release, (task,) = await behind(an_item(certificate))
    other = await a_connector()
    assert (await other.call("POST", f"certificates/{certificate}/revocation", {"operator_id": str(uuid4())}))[0] == 204
    release()
    assert (await task)["reason"] == "access-withdrawn"
    assert len(ca.journal) == 1


async def test_items_of_an_epoch_that_is_over_spoil_nobody_they_wait_with(behind, certificate, one_by_one, ca, clock):
    clock.move(days=30)
    await one_by_one.renewed(await one_by_one.profile_of_first(), certificate)
    release, tasks = await behind(an_item(certificate, epoch=1), an_item(certificate, epoch=2), an_item(certificate, epoch=3))
    clock.move(days=30)
    release()
    results = await asyncio.gather(*tasks)
    assert [result.get("reason") for result in results] == ["epoch-over", None, "certificate-unknown"]


async def test_what_waits_too_long_for_its_turn_is_refused_as_never_sent(behind, certificate, ca, monkeypatch):
    release, (task,) = await behind(an_item(certificate))
    monkeypatch.setattr(signing, "WAIT_S", 0.1)
    release()
    result = await task
    assert (result["outcome"], result["reason"], ca.asked) == ("refused", "ca-unavailable", [1])


async def test_what_finds_no_turn_at_a_ca_with_too_many_calls_is_refused_as_never_sent(
    gateway, one_by_one, certificate, ca, monkeypatch
):
    monkeypatch.setattr(signing, "CALLS_PER_CA", 1)
    neighbour = (await one_by_one.registered(await one_by_one.profile_of_first(), "SEAL-2"))["certificate_id"]
    assert (await gateway.sign(an_item(certificate)))["outcome"] == "signed"
    ca.held_back["SEAL-2"] = asyncio.Event()
    held = asyncio.create_task(gateway.sign(an_item(neighbour)))
    await until(lambda: len(ca.asked) == 2)
    monkeypatch.setattr(signing, "WAIT_S", 0.1)
    result = await gateway.sign(an_item(certificate))
    assert (result["outcome"], result["reason"]) == ("refused", "ca-unavailable")
    ca.held_back["SEAL-2"].set()
    assert (await held)["outcome"] == "signed"


async def test_a_gateway_that_goes_away_loses_nobody_elses_outcome(gateway, behind, certificate, ca):
    stays, leaves = an_item(certificate), an_item(certificate)
    release, (staying, leaving) = await behind(stays, leaves)
    leaving.cancel()
    await asyncio.sleep(0.2)  # the connector notices by itself that the connection was closed
    release()
    assert (await staying)["outcome"] == "signed"
    assert stays["hashes"][0] in ca.journal
    assert leaves["hashes"][0] not in ca.journal


async def test_a_gateway_that_goes_away_during_a_call_takes_no_answer_from_those_it_went_with(gateway, certificate, ca, behind):
    _release, tasks = await behind(an_item(certificate), an_item(certificate))
    ca.held_back["SEAL-1"], first = asyncio.Event(), ca.held_back["SEAL-1"]
    first.set()
    await until(lambda: ca.asked == [1, 2])
    tasks[0].cancel()
    ca.held_back["SEAL-1"].set()
    assert (await tasks[1])["outcome"] == "signed"


async def test_a_token_that_another_instance_refreshed_is_used_without_a_refusal(one_by_one, a_connector, certificate, ca):
    other = await a_connector()
    assert (await one_by_one.sign(certificate))["outcome"] == "signed"
    ca.access.clear()
    assert (await other.sign(certificate))["outcome"] == "signed"
    await asyncio.sleep(LEASE_S)
    calls, refreshes = ca.calls[SIGN], ca.calls[TOKEN]
    assert (await one_by_one.sign(certificate))["outcome"] == "signed"
    assert (ca.calls[SIGN], ca.calls[TOKEN]) == (calls + 1, refreshes)


async def test_a_client_secret_changed_at_another_instance_is_used_at_the_next_refresh(one_by_one, a_connector, certificate, ca):
    other, profile = await a_connector(), await one_by_one.profile_of_first()
    assert (await one_by_one.sign(certificate))["outcome"] == "signed"
    for secret, outcome in (("wrong", "refused"), ("canary-client-secret", "signed")):
        await other.call("PATCH", f"certificate-authorities/{profile}", {"client_secret": secret})
        ca.access.clear()
        assert (await one_by_one.sign(certificate))["outcome"] == outcome
    assert await one_by_one.told(CaAccessWithdrawn) == []


async def test_a_database_that_dropped_the_connection_is_asked_again_on_a_new_one(one_by_one, certificate):
    assert (await one_by_one.sign(certificate))["outcome"] == "signed"
    drop = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    async with one_by_one.engine.connect() as connection:
        await connection.execute(text(drop))
    assert (await one_by_one.sign(certificate))["outcome"] == "signed"


async def test_a_ca_that_asks_for_a_pause_has_signed_nothing_and_gets_it(one_by_one, certificate, ca):
    ca.moods[SIGN].append((429, {"error": "temporarily_unavailable"}, {"Retry-After": "60"}))
    for _ in range(2):
        result = await one_by_one.sign(certificate)
        assert (result["outcome"], result["reason"]) == ("refused", "ca-unavailable")
    assert (ca.calls[SIGN], ca.journal) == (1, [])


async def test_a_pause_that_says_nothing_leaves_the_outcome_unknown(one_by_one, certificate, ca):
    ca.moods[SIGN].append(429)
    assert (await one_by_one.sign(certificate))["outcome"] == "unknown"
    assert (await one_by_one.sign(certificate))["outcome"] == "signed"
