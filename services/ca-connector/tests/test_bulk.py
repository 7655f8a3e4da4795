import asyncio
import json
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca_connector.bulk import CallUnreadable, Reply, SignResult, read
from contracts import ca_connector as contracts

TEXT = st.text(max_size=20)
ITEMS = st.builds(
    contracts.SignItem,
    item_id=st.uuids(),
    certificate_id=st.uuids(),
    epoch=st.integers(1, 2**31 - 1),
    hashes=st.lists(TEXT, min_size=1, max_size=5),
    hash_algorithm_oid=TEXT,
    sign_algorithm_oid=TEXT,
    sign_algorithm_params=st.none() | TEXT,
    traced=st.booleans(),
)
RESULTS = st.builds(
    SignResult,
    item_id=st.uuids(),
    outcome=st.sampled_from(["signed", "refused", "unknown"]),
    signatures=st.lists(TEXT),
    reason=st.none() | TEXT,
    detail=st.none() | TEXT,
)
GOOD = {
    "item_id": str(uuid4()),
    "certificate_id": str(uuid4()),
    "epoch": 1,
    "hashes": ["AAAA"],
    "hash_algorithm_oid": "1.2",
    "sign_algorithm_oid": "1.3",
}


async def lines_of(reply):
    found = []
    while not reply.done:
        found += (await reply.lines()).splitlines()
    return found


@given(st.lists(ITEMS, min_size=1, max_size=4))
def test_a_call_written_by_the_contract_is_read_the_same(items):
    call = read(contracts.SignCall(items=items).model_dump_json().encode())
    for ours, theirs in zip(call.items, items, strict=True):
        assert {name: getattr(ours, name) for name in ours.__struct_fields__} == theirs.model_dump()


@given(st.lists(RESULTS, min_size=1, max_size=4))
async def test_a_result_is_read_by_the_contract_as_it_was_written(results):
    reply = Reply(len(results))
    for result in results:
        reply.add(result)
    for line, ours in zip(await lines_of(reply), results, strict=True):
        theirs = contracts.SignResult.model_validate_json(line)
        assert theirs.model_dump() == {name: getattr(ours, name) for name in ours.__struct_fields__}


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 0},
        {"epoch": 2**31},
        {"epoch": "1"},
        {"hashes": []},
        {"hashes": ["AAAA"] * 10_001},
        {"hashes": [None]},
        {"item_id": "canary"},
        {"certificate_id": None},
        {"sign_algorithm_oid": 5},
    ],
)
def test_both_readers_refuse_the_same_and_ours_names_the_field_and_never_what_was_sent(change):
    sent = json.dumps({"items": [GOOD, {**GOOD, **change}]}).encode()
    if change != {"epoch": "1"}:  # pydantic is lax in JSON where nothing is lost; no gateway writes that
        with pytest.raises(ValueError, match="validation error"):
            contracts.SignCall.model_validate_json(sent)
    with pytest.raises(CallUnreadable) as refused:
        read(sent)
    assert refused.value.field.startswith(f"items.1.{next(iter(change))}")
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("sent", [b"", b"{", b"\xff", b'{"x":' + b"[" * 100_000])
def test_what_is_no_json_is_said_to_be_none(sent):
    with pytest.raises(CallUnreadable, match="is not JSON"):
        read(sent)


@pytest.mark.parametrize("sent", [b"[]", b"{}", b'{"items": []}', b'{"items": 5}'])
def test_what_is_no_call_is_refused_by_name(sent):
    with pytest.raises(CallUnreadable, match=r"body|items"):
        read(sent)


async def test_each_result_is_handed_on_when_it_is_known_and_not_before():
    reply, first, second = Reply(2), uuid4(), uuid4()
    reply.add(SignResult(second, "signed", ["AA=="]))
    assert UUID(json.loads(await reply.lines())["item_id"]) == second
    assert not reply.done
    waiting = asyncio.create_task(reply.lines())
    await asyncio.sleep(0)
    assert not waiting.done()
    reply.add(SignResult(first, "refused", reason="epoch-over"))
    told = json.loads(await waiting)
    assert (told["item_id"], told["outcome"], told["reason"]) == (str(first), "refused", "epoch-over")
    assert reply.done


async def test_what_becomes_known_at_once_is_handed_on_together_and_waits_for_nothing_else():
    reply = Reply(3)
    waiting = asyncio.create_task(reply.lines())
    for outcome in ("signed", "refused", "unknown"):
        await asyncio.sleep(0)
        assert not waiting.done()
        reply.add(SignResult(uuid4(), outcome))
    await asyncio.sleep(0)  # no timer could have ended by now
    assert [json.loads(line)["outcome"] for line in waiting.result().splitlines()] == ["signed", "refused", "unknown"]
    assert reply.done


async def test_what_was_abandoned_is_done():
    reply = Reply(2)
    waiting = asyncio.create_task(reply.lines())
    await asyncio.sleep(0)
    reply.abandon()
    assert await waiting == b""
    assert reply.done
