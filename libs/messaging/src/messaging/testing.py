"""For tests that share a broker: the topics of the contracts under a prefix of one's own."""

from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from contracts.topics import TOPICS
from messaging.producing import servers

EXISTS = 36


async def create_topics(bootstrap: str, prefix: str, names: set[str] | None = None) -> None:
    """Creates all topics, or those of `names`, each with `prefix` before its name; one that exists is left as it is."""
    wanted = [
        NewTopic(prefix + topic.name, topic.partitions, 1, topic_configs=topic.config)
        for topic in TOPICS
        if names is None or topic.name in names
    ]
    admin = AIOKafkaAdminClient(bootstrap_servers=servers(bootstrap))
    await admin.start()
    try:
        answer = await admin.create_topics(wanted)
    finally:
        await admin.close()
    refused = [error for error in answer.topic_errors if error[1] not in (0, EXISTS)]
    if refused:
        raise RuntimeError(f"topics were not created: {refused}")


async def delete_topics(bootstrap: str, prefix: str) -> None:
    """Deletes every topic that begins with `prefix`, which must not be empty."""
    if not prefix:
        raise ValueError("an empty prefix would delete everything")
    admin = AIOKafkaAdminClient(bootstrap_servers=servers(bootstrap))
    await admin.start()
    try:
        await admin.delete_topics([name for name in await admin.list_topics() if name.startswith(prefix)])
    finally:
        await admin.close()
