"""Statements that are repeated because nobody knows whether their commit came through, on the real database."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from signing_gateway.storage.activations import Activations, Leave, digest_of
from signing_gateway.storage.deferred import Decided, Deferred, DeferredOrders
from signing_gateway.storage.presence import Presence

pytestmark = pytest.mark.integration

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


@pytest.fixture
async def orders(database):
    presence = Presence(database.engine)
    present = asyncio.create_task(presence.run())
    yield DeferredOrders(database.sessions, presence)
    present.cancel()
    await asyncio.gather(present, return_exceptions=True)


async def accepted(orders, sad_digest=None):
    order = Deferred(uuid4(), uuid4(), "1.2", "1.3", ["AAAA", "BBBB"], sad_digest, timedelta(hours=1))
    return await orders.accept(order, now=NOW, host_now=NOW, kept_until=LATER)


async def test_an_order_that_was_taken_again_is_not_put_back_by_its_first_attempt(orders):
    await accepted(orders)
    first = await orders.take(NOW, NOW)
    assert await orders.put_back(first, not_before=NOW)
    second = await orders.take(NOW, NOW)
    assert not await orders.put_back(first, not_before=NOW)
    assert not await orders.decide(first, Decided(200, {}), NOW)
    assert await orders.take(NOW, NOW) is None
    assert await orders.decide(second, Decided(200, {}), NOW)


async def test_an_order_that_was_put_back_is_taken_when_it_is_due_and_after_those_that_were_due_before(orders):
    early, late = await accepted(orders), await accepted(orders)
    for _ in range(2):
        taken = await orders.take(NOW, NOW)
        again = NOW + timedelta(seconds=3 if taken.response_id == early else 2)
        await orders.put_back(taken, not_before=again)
    assert await orders.take(NOW, NOW + timedelta(seconds=1.9)) is None
    due = [await orders.take(NOW, NOW + timedelta(seconds=3)) for _ in range(2)]
    assert [taken.response_id for taken in due] == [late, early]


async def test_a_refusal_that_is_recorded_twice_gives_a_sad_back_once(orders, database):
    leave = Leave(uuid4(), uuid4(), 0, None, None, LATER)
    sad = await Activations(database.sessions).issue(leave)
    await accepted(orders, digest_of(sad))
    taken = await orders.take(NOW, NOW)
    assert await orders.decide(taken, Decided(400, {}), NOW, refused=True)
    assert not await orders.decide(taken, Decided(400, {}), NOW, refused=True)
    assert [row.signatures_left for row in await database.rows("activation")] == [2]
