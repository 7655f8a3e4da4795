"""State topics as a projection in memory: every record from the beginning, in no group, with the age of its last confirmation."""

import asyncio
import gc
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError
from aiokafka.structs import TopicPartition
from prometheus_client import Counter

from contracts import Told, UnreadableEvent, decode
from contracts.envelope import header
from messaging.bodies import plainly
from messaging.dead_letters import bury
from messaging.following import Following, boottime
from messaging.producing import Producer, in_a_line, servers
from messaging.records import Incoming, types_on
from messaging.tracing import hearing_one, traced_by_teller
from observability import get_logger

log = get_logger(__name__)

UNREADABLE = Counter("state_records_unreadable_total", "Records of state topics that could not be applied", ["topic"])

START_S = 10.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0

Apply = Mapping[type[Any], Callable[[Any], object]]
Forget = Mapping[type[Any], Callable[[str], None]]


class StateTopics:
    """Follows the topics of the types in `apply`. Records may come again and again: `apply` keeps the highest version.

    What `apply` is given has the fields of its type, and is no instance of it where that took less time.

    `forget` is called with the key of a tombstone. `run` is a background task; it survives broker outages, during which
    `confirmed_age` grows.
    """

    def __init__(self, bootstrap: str, *, service: str, apply: Apply, forget: Forget | None = None, prefix: str = "") -> None:
        self._bootstrap, self._service, self._prefix = bootstrap, service, prefix
        self._apply = {prefix + kind.topic: (types_on(kind.topic), fn) for kind, fn in apply.items()}
        self._forget = {prefix + kind.topic: fn for kind, fn in (forget or {}).items()}
        self._confirmed_at = float("-inf")
        self._letters = Producer(bootstrap, f"{service}-dead-letters")
        self.caught_up = False

    def confirmed_age(self, at: float | None = None) -> float:
        """Seconds since all that the broker had was known to be applied; infinite before the first. `at`: boot time, or now."""
        return (boottime() if at is None else at) - self._confirmed_at

    async def run(self) -> None:
        """Follows for ever."""
        pause = FIRST_PAUSE_S
        try:
            while True:
                try:
                    partitions = await self._partitions()
                    await Following(self._consumer(), partitions, self._applied, self._confirmed).run()
                except (KafkaError, OSError, TimeoutError) as fault:
                    log.warning("state topics cannot be followed", reason=in_a_line(fault), again_in_s=pause)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)
        finally:
            await self._letters.close()

    async def _partitions(self) -> list[TopicPartition]:
        """Of all topics. Raises UnknownTopicOrPartitionError while one of them is not there."""
        admin = AIOKafkaAdminClient(bootstrap_servers=servers(self._bootstrap), client_id=self._service)
        try:
            await asyncio.wait_for(admin.start(), START_S)
            described = await asyncio.wait_for(admin.describe_topics(list(self._apply)), START_S)
        finally:
            await admin.close()
        missing = sorted(topic["topic"] for topic in described if topic["error_code"])
        if missing:
            raise UnknownTopicOrPartitionError(f"no topic {', '.join(missing)}")
        return [TopicPartition(topic["topic"], part["partition"]) for topic in described for part in topic["partitions"]]

    def _consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            bootstrap_servers=servers(self._bootstrap),
            client_id=self._service,
            group_id=None,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            request_timeout_ms=20_000,
            retry_backoff_ms=100,
            metadata_max_age_ms=30_000,
            max_partition_fetch_bytes=262_144,  # of a dozen partitions at once: larger pieces leave holes in the process's memory
        )

    def _confirmed(self, at: float) -> None:
        self._confirmed_at = max(self._confirmed_at, at)
        if not self.caught_up:
            self.caught_up = True
            log.info("state topics are read to their ends", topics=sorted(self._apply))

    async def _applied(self, records: Sequence[Incoming]) -> None:
        types, apply = self._apply[records[0].topic]
        for record in records:
            try:
                state = _told(record, types)
                if state is None:
                    self._forgotten(record)
                elif not (self.caught_up and traced_by_teller(record.headers)):
                    apply(state)  # a span for each state told would cost more than applying it
                else:
                    with hearing_one(record.topic, list(record.headers)):
                        apply(state)
            except UnreadableEvent as refusal:
                await self._unreadable(record, str(refusal))
            except Exception as fault:
                log.exception("a state could not be applied", topic=record.topic, offset=record.offset)
                await self._unreadable(record, type(fault).__name__)
        if not self.caught_up:
            gc.freeze()  # what was read stays: walking it again and again took the collector longer than reading it

    def _forgotten(self, record: Incoming) -> None:
        if forget := self._forget.get(record.topic):
            forget((record.key or b"").decode("utf-8", "replace"))

    async def _unreadable(self, record: Incoming, reason: str) -> None:
        """It is passed over: the states behind it matter more. The dead letter is best effort."""
        UNREADABLE.labels(record.topic.removeprefix(self._prefix)).inc()
        log.error("a state record is passed over", reason=reason, topic=record.topic, offset=record.offset)
        try:
            await bury(self._letters, record, reason, service=self._service, prefix=self._prefix)
        except (KafkaError, OSError, TimeoutError) as fault:
            log.warning("the dead letter could not be kept", reason=type(fault).__name__)


def _told(record: Incoming, types: Mapping[str, type[Told]]) -> Any:
    """The state that a record tells, None for a tombstone. Raises UnreadableEvent.

    Who told it and when is not asked for: nothing here hangs on it, and it took longer than reading the state.
    """
    kind = types.get(header(record.headers, "ce_type") or "")
    state = plainly(kind)(record.value) if kind and record.value is not None else None
    if state is None:
        state = decode(record.value, record.headers, types)
    if state is not None and state.key.encode() != record.key:
        raise UnreadableEvent(f"{state.type}: the record's key is not the event's {state.key_field}")
    return state
