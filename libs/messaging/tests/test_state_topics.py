import asyncio
from datetime import UTC, datetime
from math import inf
from uuid import uuid4

import pytest

from contracts import Account
from messaging import StateTopics
from messaging.testing import create_topics, delete_topics

pytestmark = pytest.mark.integration
NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


class Accounts:
    """What a service keeps: the highest version of each, and how often it was told."""

    def __init__(self):
        self.versions, self.told = {}, 0

    def apply(self, account):
        self.told += 1
        self.versions[account.key] = max(account.version, self.versions.get(account.key, 0))

    def forget(self, key):
        self.versions.pop(key, None)


@pytest.fixture
def accounts():
    return Accounts()


@pytest.fixture
def follow(bootstrap, prefix, accounts, background):
    def begin(address=bootstrap):
        topics = StateTopics(
            address, service="notifier", apply={Account: accounts.apply}, forget={Account: accounts.forget}, prefix=prefix
        )
        background(topics.run())
        return topics

    return begin


async def test_everything_from_the_beginning_is_known_once_it_has_caught_up(follow, publish, accounts, an_account, eventually):
    ids = [uuid4() for _ in range(50)]
    for account_id in ids:
        await publish(an_account(3, account_id))
    topics = follow()
    assert (topics.caught_up, topics.confirmed_age()) == (False, inf)
    await eventually(lambda: topics.caught_up)
    assert accounts.versions == {str(account_id): 3 for account_id in ids}
    assert topics.confirmed_age() < 30
    await publish(an_account(4, ids[0]))
    await eventually(lambda: accounts.versions[str(ids[0])] == 4)


async def test_it_catches_up_with_topics_that_are_empty(follow, eventually):
    topics = follow()
    await eventually(lambda: topics.caught_up)


async def test_a_tombstone_forgets(follow, publish, producer, prefix, accounts, an_account, eventually):
    await publish(an_account(1))
    await producer.send_and_wait(f"{prefix}accounts", None, key=an_account().key.encode())
    topics = follow()
    await eventually(lambda: topics.caught_up)
    assert (accounts.versions, accounts.told) == ({}, 1)


async def test_what_cannot_be_read_is_passed_over_and_kept_as_a_dead_letter(
    follow, publish, producer, prefix, accounts, an_account, eventually, all_of
):
    key = an_account().key
    await producer.send_and_wait(f"{prefix}accounts", b"{", key=key.encode(), headers=[("ce_type", b"account.v1")])
    await publish(an_account(2))
    topics = follow()
    await eventually(lambda: topics.caught_up)
    assert accounts.versions == {key: 2}
    assert [letter.value for letter in await all_of(f"{prefix}dead-letters.notifier")] == [b"{"]


async def test_an_outage_lets_the_age_grow_and_ends_by_itself(
    follow, wire, publish, accounts, an_account, eventually, monkeypatch
):
    monkeypatch.setattr("messaging.following.ASK_S", 0.5)
    await publish(an_account(1))
    topics = follow(wire.address)
    await eventually(lambda: topics.caught_up)
    wire.freeze()
    await eventually(lambda: topics.confirmed_age() > 4)
    assert topics.caught_up
    await publish(an_account(2))
    wire.cut()
    wire.thaw()
    await eventually(lambda: topics.confirmed_age() < 3, within_s=60)
    assert accounts.versions == {an_account().key: 2}


@pytest.mark.parametrize("length", [0, 2, 8])
async def test_a_topic_that_was_re_made_during_an_outage_is_read_again(
    length, follow, wire, bootstrap, prefix, publish, accounts, an_account, eventually, persistently, monkeypatch
):
    monkeypatch.setattr("messaging.following.ASK_S", 0.5)
    one, another = uuid4(), uuid4()
    for version in range(1, 6):
        await publish(an_account(version, one))
    topics = follow(wire.address)
    await eventually(lambda: topics.caught_up)
    told = accounts.told
    wire.freeze()
    await eventually(lambda: topics.confirmed_age() > 2)
    await delete_topics(bootstrap, f"{prefix}accounts")
    await asyncio.sleep(0.5)
    await create_topics(bootstrap, prefix, {"accounts"})
    for version in range(1, length + 1):
        event = an_account(version, another if version == 1 else one)
        await persistently(lambda event=event: publish(event))
    wire.cut()
    wire.thaw()
    await eventually(lambda: topics.confirmed_age() < 2, within_s=60)
    await eventually(lambda: accounts.told >= told + length)
    assert (str(another) in accounts.versions) == (length > 0)


async def test_a_topic_that_is_missing_is_waited_for(bootstrap, accounts, background, eventually):
    prefix = f"t{uuid4().hex[:8]}."
    topics = StateTopics(bootstrap, service="notifier", apply={Account: accounts.apply}, prefix=prefix)
    running = background(topics.run())
    await asyncio.sleep(1)
    assert not running.done()
    assert not topics.caught_up
    try:
        await create_topics(bootstrap, prefix, {"accounts"})
        await eventually(lambda: topics.caught_up)
    finally:
        await delete_topics(bootstrap, prefix)
