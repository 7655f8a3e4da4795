"""Records that cannot be read: kept with the reason and all they came with, counted, told again by a command."""

import asyncio

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition
from prometheus_client import Counter

from contracts.envelope import Headers, header
from messaging.producing import Producer, Record, servers
from messaging.records import Incoming
from observability import get_logger

log = get_logger(__name__)
DEAD = Counter("dlq_total", "Records that could not be read and went to the dead letters", ["topic"])
BURY_S = 8.0
REPLAY_S = 60.0
OWN = "dl_"


async def bury(producer: Producer, record: Incoming, reason: str, *, service: str, prefix: str) -> None:
    """Puts `record` on the topic `dead-letters.<service>` as it came, with why and whence. Raises when that cannot be done."""
    headers = [
        *_without_ours(record),
        ("dl_reason", reason[:1000].encode()),
        ("dl_topic", record.topic.encode()),
        ("dl_partition", str(record.partition).encode()),
        ("dl_offset", str(record.offset).encode()),
    ]
    letter = Record(f"{prefix}dead-letters.{service}", record.key, record.value, headers)
    await producer.send([letter], within_s=BURY_S)
    DEAD.labels(record.topic.removeprefix(prefix)).inc()
    log.warning("a record cannot be read", reason=reason, topic=record.topic, partition=record.partition, offset=record.offset)


async def replay(bootstrap: str, service: str, prefix: str = "") -> int:
    """Tells every dead letter heard so far again on its topic, once each: how far it came is kept in a consumer group.

    Answers how many. One that still cannot be read comes back as a new dead letter.
    """
    topic = f"{prefix}dead-letters.{service}"
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers(bootstrap),
        group_id=f"{prefix}replay.{service}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=6_000,
        heartbeat_interval_ms=1_000,
    )
    producer = Producer(bootstrap, f"{service}-replay")
    async with asyncio.timeout(REPLAY_S):
        try:
            await consumer.start()
            return await _replayed(consumer, producer)
        finally:
            await consumer.stop()
            await producer.close()


async def _replayed(consumer: AIOKafkaConsumer, producer: Producer) -> int:
    ends: dict[TopicPartition, int] = await consumer.end_offsets(consumer.assignment())
    told = 0
    for partition, end in ends.items():
        consumer.pause(*(other for other in ends if other != partition))
        consumer.resume(partition)
        while (position := await consumer.position(partition)) < end:
            fetched = (await consumer.getmany(partition, timeout_ms=1000, max_records=500)).get(partition, [])
            letters = [record for record in fetched if record.offset < end]
            records = [again for letter in letters if (again := _again(letter)) is not None]
            if records:
                await producer.send(records, within_s=REPLAY_S)
            await consumer.commit({partition: letters[-1].offset + 1 if letters else position})
            told += len(records)
    return told


def _again(letter: Incoming) -> Record | None:
    topic = header(letter.headers, "dl_topic")
    if topic is None:
        log.warning("a dead letter does not say whence it came", offset=letter.offset)
        return None
    return Record(topic, letter.key, letter.value, _without_ours(letter))


def _without_ours(record: Incoming) -> Headers:
    return [(name, value) for name, value in record.headers if not name.startswith(OWN)]
