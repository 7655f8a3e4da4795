"""The journal, scripted mishaps, withdrawn access, kills."""

import asyncio
import base64
import hashlib
import signal

import aiohttp
import pytest

DIGESTS = [hashlib.sha256(bytes([n])).digest() for n in range(3)]


async def order(world, kind, count=1):
    assert (await world.send("/sandbox/mishaps", json={"kind": kind, "count": count}))[0] == 201


@pytest.fixture
async def ready(world):
    """A token and a SAD."""
    world.given = await world.tokens("a")
    world.access = world.given["access_token"]
    world.a_sad = await world.sad(world.access)
    world.before = len(await world.journal())
    return world


async def added(world):
    return (await world.journal())[world.before :]


async def test_every_signature_is_in_the_journal(ready):
    _, told = await ready.sign(ready.access, ready.a_sad, DIGESTS)
    entries = await added(ready)
    assert [e["signature"] for e in entries] == told["signatures"]
    assert [e["hash"] for e in entries] == [base64.b64encode(d).decode() for d in DIGESTS]
    assert all(set(e) == {"at", "credential_id", "hash", "signature"} and e["at"].endswith("Z") for e in entries)


async def test_an_error_signs_nothing_and_the_next_call_passes(ready):
    await order(ready, "error-5xx")
    assert (await ready.sign(ready.access, ready.a_sad, DIGESTS))[0] == 500
    assert await added(ready) == []
    assert (await ready.sign(ready.access, ready.a_sad, DIGESTS))[0] == 200


async def test_a_lost_answer_was_signed_and_not_a_byte_of_it_arrives(ready):
    await order(ready, "answer-lost")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await ready.sign(ready.access, ready.a_sad, DIGESTS)
    assert len(await added(ready)) == 3


async def test_a_timeout_hangs_without_signing_and_ends_when_mishaps_are_cleared(ready):
    await order(ready, "timeout")
    hanging = asyncio.create_task(ready.sign(ready.access, ready.a_sad, DIGESTS))
    for _ in range(100):
        if not (await ready.send("/sandbox/mishaps", method="GET"))[1]["pending"]:
            break
        await asyncio.sleep(0.05)
    assert not hanging.done()
    assert (await ready.send("/sandbox/mishaps", method="DELETE"))[0] == 204
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await hanging
    assert await added(ready) == []


async def test_the_wrong_order_is_told_and_the_right_one_journaled(ready):
    await order(ready, "wrong-order")
    _, told = await ready.sign(ready.access, ready.a_sad, DIGESTS)
    assert [e["signature"] for e in await added(ready)] == told["signatures"][::-1]


async def test_the_wrong_key_gives_other_signatures_than_the_right_one(ready):
    await order(ready, "wrong-key")
    _, wrong = await ready.sign(ready.access, ready.a_sad, DIGESTS)
    _, right = await ready.sign(ready.access, ready.a_sad, DIGESTS)
    assert set(wrong["signatures"]).isdisjoint(right["signatures"])


async def test_a_slow_call_is_answered_in_the_end(ready):
    await order(ready, "slow")
    assert (await ready.sign(ready.access, ready.a_sad, DIGESTS))[0] == 200


async def test_a_revoked_token_is_dead_with_its_family(ready):
    await order(ready, "token-revoked")
    assert (await ready.sign(ready.access, ready.a_sad, DIGESTS))[1]["error"] == "invalid_token"
    assert (await ready.by_refresh("a", ready.given["refresh_token"]))[1]["error"] == "invalid_grant"


async def test_mishaps_happen_in_the_order_they_were_ordered(ready):
    await order(ready, "error-5xx", 2)
    await order(ready, "token-revoked")
    assert [(await ready.sign(ready.access, ready.a_sad, DIGESTS))[0] for _ in range(3)] == [500, 500, 401]


async def test_access_withdrawn_ends_the_families_that_used_it_and_a_new_walk_works(ready):
    unused = await ready.tokens("a")
    other = await ready.tokens("a")
    other_sad = await ready.sad(other["access_token"], "A-SEAL-2")
    await ready.sign(ready.access, ready.a_sad, DIGESTS)
    await ready.send("/sandbox/revocations", json={"credential_id": "A-SEAL-1"})
    assert (await ready.sign(ready.access, ready.a_sad, DIGESTS))[0] == 401
    assert (await ready.by_refresh("a", ready.given["refresh_token"]))[1]["error"] == "invalid_grant"
    status, refreshed = await ready.by_refresh("a", unused["refresh_token"])
    assert status == 200
    assert (await ready.csc("a", "credentials/info", refreshed["access_token"], credentialID="A-SEAL-1"))[0] == 401
    assert (await ready.csc("a", "credentials/info", refreshed["access_token"], credentialID="A-SEAL-2"))[0] == 200
    assert (await ready.sign(other["access_token"], other_sad, DIGESTS, "A-SEAL-2"))[0] == 200
    again = (await ready.tokens("a"))["access_token"]
    assert (await ready.sign(again, await ready.sad(again), DIGESTS))[0] == 200


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/sandbox/mishaps", {"kind": "other"}, "kind"),
        ("/sandbox/mishaps", {"kind": ["slow"]}, "kind"),
        ("/sandbox/mishaps", {"kind": "slow", "count": 0}, "count"),
        ("/sandbox/mishaps", {"kind": "slow", "count": True}, "count"),
        ("/sandbox/mishaps", [], "kind"),
        ("/sandbox/revocations", {"credential_id": "nobody"}, "credential_id"),
        ("/sandbox/revocations", {}, "credential_id"),
    ],
)
async def test_bad_input_is_told_by_its_field(world, path, body, field):
    status, told = await world.send(path, json=body)
    assert (status, told["field"]) == (400, field)


async def test_the_page_shows_credentials_and_no_secret(ready):
    await ready.sign(ready.access, ready.a_sad, DIGESTS)
    status, page = await ready.send("/", method="GET")
    assert status == 200
    assert "A-SEAL-1" in page
    assert base64.b64encode(DIGESTS[0]).decode().replace("+", "&#43;") in page or base64.b64encode(DIGESTS[0]).decode() in page
    assert not any(secret in page for secret in ("client-secret", "demo-password", "4711", "sms-secret"))


async def test_a_kill_under_load_loses_no_signature_that_was_received(ready):
    received: list[str] = []

    async def keep_signing() -> None:
        while True:
            try:
                status, told = await ready.sign(ready.access, ready.a_sad, DIGESTS)
            except (aiohttp.ClientError, OSError):
                return
            if status == 200:
                received.extend(told["signatures"])

    signing = [asyncio.create_task(keep_signing()) for _ in range(4)]
    while len(received) < 60:
        await asyncio.sleep(0.02)
    await asyncio.to_thread(ready.running.stop, signal.SIGKILL)
    await asyncio.gather(*signing)
    with (ready.running.folder / "state" / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"at": "torn')
    await asyncio.to_thread(ready.running.start)
    kept = {entry["signature"] for entry in await added(ready)}
    assert set(received) <= kept
    assert (await ready.sign(ready.access, ready.a_sad, DIGESTS))[0] == 200
    assert len({entry["signature"] for entry in await added(ready)}) >= len(kept)
    status, _ = await ready.by_refresh("a", ready.given["refresh_token"])
    assert status == 200
