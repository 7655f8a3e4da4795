from datetime import UTC, datetime

import pytest

from contracts import Account, CaAccessWithdrawn, SignatureApplied, UnreadableEvent
from contracts.envelope import header
from contracts.examples import EXAMPLES
from messaging.dead_letters import DEAD, replay

pytestmark = pytest.mark.integration
NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
SERVICE = "notifier"


UNREADABLE = {
    "no JSON": (b"{", [("ce_type", b"account.v1")]),
    "another shape": (b"{}", [("ce_type", b"account.v1")]),
    "an unknown type": (b"{}", [("ce_type", b"account.v9")]),
    "no type": (b"{}", []),
    "headers that are no text": (b"\xff\xfe", [("ce_type", b"\xff"), ("other", b"\xff\x00")]),
}


@pytest.mark.parametrize("what", UNREADABLE)
async def test_what_cannot_be_read_goes_to_the_dead_letters_as_it_came(
    what, hearing, prefix, producer, publish, background, an_account, eventually, all_of
):
    value, headers = UNREADABLE[what]
    heard = []

    @hearing.hears(Account)
    async def on_account(one):
        heard.append(one.event.version)

    before = DEAD.labels("accounts")._value.get()
    key = an_account().key.encode()
    place = await producer.send_and_wait(f"{prefix}accounts", value, key=key, headers=headers)
    await publish(an_account(2))
    background(hearing.run())
    await eventually(lambda: heard == [2])
    (letter,) = await all_of(f"{prefix}dead-letters.{SERVICE}")
    assert (letter.value, letter.key) == (value, key)
    assert list(letter.headers[: len(headers)]) == headers
    assert header(letter.headers, "dl_reason")
    assert header(letter.headers, "dl_topic") == f"{prefix}accounts"
    assert header(letter.headers, "dl_partition") == str(place.partition)
    assert header(letter.headers, "dl_offset") == str(place.offset)
    assert DEAD.labels("accounts")._value.get() == before + 1


async def test_dead_letters_are_told_again_once(hearing, bootstrap, prefix, publish, background, an_account, eventually):
    heard, refused = [], [2]

    @hearing.hears(Account)
    async def on_account(one):
        if one.event.version in refused:
            raise UnreadableEvent("not understood yet")
        heard.append(one.event.version)

    for version in (1, 2, 3):
        await publish(an_account(version))
    background(hearing.run())
    await eventually(lambda: heard == [1, 3])
    refused.clear()
    assert await replay(bootstrap, SERVICE, prefix) == 1
    await eventually(lambda: heard == [1, 3, 2])
    assert await replay(bootstrap, SERVICE, prefix) == 0


async def test_one_unreadable_event_of_a_batch_is_found_and_the_others_are_kept(
    hearing, prefix, publish, background, a_signature, eventually, all_of
):
    kept = set()

    @hearing.hears_batch(SignatureApplied)
    async def on_signatures(batch):
        if any(one.event.total == 4 for one in batch):
            raise UnreadableEvent("of no allowance")
        kept.update(one.event.total for one in batch)

    for total in range(1, 8):
        await publish(a_signature(total))
    background(hearing.run())
    await eventually(lambda: kept == {1, 2, 3, 5, 6, 7})
    (letter,) = await all_of(f"{prefix}dead-letters.{SERVICE}")
    assert SignatureApplied.model_validate_json(letter.value).total == 4


@pytest.mark.parametrize("wanted", [True, False])
async def test_a_tombstone_is_no_poison(wanted, hearing, prefix, producer, publish, background, an_account, eventually, all_of):
    heard = []

    @hearing.hears(Account, tombstones=wanted)
    async def on_account(one):
        heard.append(one.event and one.event.version)

    key = an_account().key
    await producer.send_and_wait(f"{prefix}accounts", None, key=key.encode())
    await publish(an_account(2))
    background(hearing.run())
    await eventually(lambda: 2 in heard)
    assert heard == ([None, 2] if wanted else [2])
    assert await all_of(f"{prefix}dead-letters.{SERVICE}") == []


async def test_a_type_nobody_listens_for_is_passed_over(hearing, prefix, publish, background, eventually, all_of):
    granted, withdrawn = (event for event in EXAMPLES if event.topic == "ca-access")
    heard = []

    @hearing.hears(CaAccessWithdrawn)
    async def on_withdrawn(one):
        heard.append(one.event)

    await publish(granted)
    await publish(withdrawn)
    background(hearing.run())
    await eventually(lambda: heard == [withdrawn])
    assert await all_of(f"{prefix}dead-letters.{SERVICE}") == []
