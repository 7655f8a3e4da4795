"""The bus of a stack from outside, for tests: every record that is there, told once more, and every offset back at zero."""

from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata


async def every_record(bootstrap: str, topics: Iterable[str]) -> list[Any]:
    """Every record of these topics from their beginning to their present end."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        described = await admin.describe_topics(list(topics))
    finally:
        await admin.close()
    partitions = [TopicPartition(each["topic"], part["partition"]) for each in described for part in each["partitions"]]
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        records = []
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                records += batch
        return records


async def tell_again(bootstrap: str, records: Iterable[Any]) -> None:
    """Publishes the records once more, in their order, each where it was."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        for record in records:
            where = {"partition": record.partition, "headers": list(record.headers)}
            await producer.send_and_wait(record.topic, record.value, key=record.key, **where)


async def reset_offsets(bootstrap: str, groups: Iterable[str]) -> int:
    """Every offset that these groups have committed becomes 0; answers how many. The groups must have no members."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    count = 0
    try:
        for group in groups:
            committed = await admin.list_consumer_group_offsets(group)
            async with AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False) as consumer:
                consumer.assign(list(committed))
                await consumer.commit({partition: OffsetAndMetadata(0, "") for partition in committed})
            count += len(committed)
    finally:
        await admin.close()
    return count
