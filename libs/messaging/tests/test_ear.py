from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from aiokafka.structs import TopicPartition

from contracts import SignatureApplied, UnreadableEvent, encode
from messaging.ear import Ear


@pytest.fixture
def records(a_signature):
    """A thousand signatures of two partitions; their totals rise."""

    def made(number):
        event = a_signature(number + 1)
        value, headers = encode(event, event_id="the-id", source="test", at=datetime(2026, 11, 21, 12, tzinfo=UTC))
        place = {"topic": "signatures", "partition": number % 2, "offset": number // 2, "timestamp": 0}
        return SimpleNamespace(**place, key=event.key.encode(), value=value, headers=tuple(headers))

    return [made(number) for number in range(1_000)]


@pytest.mark.parametrize("refused", [set(), {1}, {1_000}, {300, 301, 777}])
async def test_what_a_handler_refuses_of_a_large_batch_is_found_in_few_calls_and_all_else_is_handled_in_order(records, refused):
    calls, handled, buried, done = 0, [], [], {}

    async def handler(batch):
        nonlocal calls
        calls += 1
        totals = [heard.event.total for heard in batch]
        if refused.intersection(totals):
            raise UnreadableEvent("refused")
        handled.extend(totals)

    async def bury(record, reason):
        buried.append((record.offset * 2 + record.partition + 1, reason))

    await Ear("signatures", (SignatureApplied,), handler, in_batches=True, tombstones=False).take(records, done, bury)
    assert buried == [(total, "refused") for total in sorted(refused)]
    assert handled == [total for total in range(1, 1_001) if total not in refused]
    assert calls <= 1 + 20 * len(refused)
    assert done == {TopicPartition("signatures", partition): 500 for partition in (0, 1)}
