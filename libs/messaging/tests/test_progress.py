import asyncio
from datetime import UTC, datetime

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from contracts import Account
from messaging import Hearing
from messaging.hearing import NotHearing
from messaging.progress import LAG, REWOUND
from messaging.testing import create_topics, delete_topics

pytestmark = pytest.mark.integration
NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)
SERVICE = "notifier"


async def test_an_outage_of_the_broker_is_seen_and_waited_out(
    wire, prefix, publish, background, an_account, eventually, monkeypatch
):
    monkeypatch.setattr("messaging.hearing.SILENT_S", 1.5)
    monkeypatch.setattr("messaging.progress.ASK_S", 0.5)
    hearing = Hearing(wire.address, service=SERVICE, prefix=prefix)
    heard = []

    @hearing.hears(Account)
    async def on_account(one):
        heard.append(one.event.version)

    await publish(an_account(1))
    background(hearing.run())
    await eventually(lambda: heard == [1])
    wire.freeze()
    async with asyncio.timeout(20):
        while True:
            try:
                await hearing.healthy()
            except NotHearing:
                break
            await asyncio.sleep(0.05)
    await publish(an_account(2))
    wire.cut()
    wire.thaw()
    await eventually(lambda: heard[-1] == 2, within_s=60)
    async with asyncio.timeout(20):
        while True:
            try:
                await hearing.healthy()
            except NotHearing:
                await asyncio.sleep(0.05)
            else:
                break


async def test_a_log_that_was_re_made_is_read_from_its_beginning_with_an_alarm(
    hearing, bootstrap, prefix, publish, background, an_account, eventually, persistently
):
    heard = []

    @hearing.hears(Account)
    async def on_account(one):
        heard.append(one.event.version)

    before = REWOUND.labels("accounts")._value.get()
    for version in range(1, 6):
        await publish(an_account(version))
    background(hearing.run())
    await eventually(lambda: len(heard) == 5)
    await delete_topics(bootstrap, f"{prefix}accounts")
    await asyncio.sleep(0.5)
    await create_topics(bootstrap, prefix, {"accounts"})
    await persistently(lambda: publish(an_account(6)))
    await eventually(lambda: heard[-1] == 6)
    await eventually(lambda: REWOUND.labels("accounts")._value.get() == before + 1)


async def test_an_offset_beyond_the_end_of_the_log_means_reading_from_its_beginning_with_an_alarm(
    hearing, bootstrap, prefix, publish, background, an_account, eventually
):
    heard = []

    @hearing.hears(Account)
    async def on_account(one):
        heard.append(one.event.version)

    group = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=prefix + SERVICE, enable_auto_commit=False)
    partitions = [TopicPartition(f"{prefix}accounts", number) for number in range(3)]
    group.assign(partitions)
    await group.start()
    await group.commit(dict.fromkeys(partitions, 1000))
    await group.stop()
    before = REWOUND.labels("accounts")._value.get()
    await publish(an_account(1))
    await publish(an_account(2))
    background(hearing.run())
    await eventually(lambda: heard == [1, 2])
    await eventually(lambda: REWOUND.labels("accounts")._value.get() > before)


async def test_the_lag_is_what_is_told_and_not_yet_handled(hearing, prefix, publish, background, an_account, eventually):
    first, finish = asyncio.Event(), asyncio.Event()

    @hearing.hears(Account)
    async def on_account(_one):
        first.set()
        await finish.wait()

    def lag():
        return sum(LAG.labels("accounts", str(number))._value.get() for number in range(3))

    for version in range(1, 4):
        await publish(an_account(version))
    background(hearing.run())
    await asyncio.wait_for(first.wait(), 20)
    await eventually(lambda: lag() == 3)
    finish.set()
    await eventually(lambda: lag() == 0)
