"""Hearing what other services tell: at least once, in order per key, offsets committed only after the handler returned.

A handler that raises is called again with the same record, after a pause that grows from 0.1 s to 5 s, for ever; only its
topic waits. A record that cannot be read goes to the dead letters. Nothing else can happen to a record.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from time import monotonic
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from aiokafka.structs import TopicPartition
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.subscriber.usecase import BatchSubscriber

from contracts import Told
from messaging.dead_letters import bury
from messaging.ear import Done, Ear
from messaging.producing import Producer, in_a_line, servers
from messaging.progress import Progress
from messaging.records import Heard, Incoming, topic_of
from observability import get_logger

log = get_logger(__name__)

BATCH = 500
RECORD_BYTES = 600  # about as large as most are
POLL_MS = 1_000  # records end a poll at once; what it notices at its end is that it shall stop
WATCH_S = 1.0
SILENT_S = 10.0
STUCK_S = 15.0  # a killed broker has left aiokafka's client waiting for ever
COMMIT_S = 5.0
STOP_S = 6.0
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
A_DAY_MS = 86_400_000

OneHandler = Callable[[Heard], Awaitable[None]]
ManyHandler = Callable[[list[Heard]], Awaitable[None]]
Handler = TypeVar("Handler", OneHandler, ManyHandler)


class NotHearing(Exception):
    """Why events are not being handled just now."""


class Hearing:
    """What one service hears, as one member of its consumer group. `run` is a background task.

    With `gathers_ms` the broker keeps an answer back for so long, unless there is as much as a `batch` is: a transaction, a
    commit and a fetch for each record alone cost a service that counts more than the counting does.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        service: str,
        group: str | None = None,
        prefix: str = "",
        gathers_ms: int | None = None,
        batch: int = BATCH,
    ) -> None:
        self._bootstrap, self._service, self._prefix = bootstrap, service, prefix
        self._longest_wait_ms, self._enough_bytes = (500, 1) if gathers_ms is None else (gathers_ms, batch * RECORD_BYTES)
        self._batch = batch
        self._group = prefix + (group or service)
        self._ears: dict[str, Ear] = {}
        self._letters = Producer(bootstrap, f"{service}-dead-letters")
        self._progress = Progress(prefix)
        self._reached = float("-inf")
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._ended.set()

    def hears(self, *types: type[Told], tombstones: bool = False) -> Callable[[OneHandler], OneHandler]:
        """The decorated handler is called for each event of `types`, which travel on one topic. Tombstones only if wanted."""
        return self._listens(types, tombstones=tombstones, in_batches=False)

    def hears_batch(
        self, *types: type[Told], tombstones: bool = False, plainly: bool = False
    ) -> Callable[[ManyHandler], ManyHandler]:
        """As `hears`, but with up to a batch of events at a time, which the handler does in one transaction or not at all.

        `plainly`: an event may be a struct with the fields of its class, which is read in a fifth of the time.
        """
        return self._listens(types, tombstones=tombstones, in_batches=True, plainly=plainly)

    def _listens(
        self, types: tuple[type[Told], ...], *, tombstones: bool, in_batches: bool, plainly: bool = False
    ) -> Callable[[Handler], Handler]:
        topic = topic_of(types)
        if topic in self._ears:
            raise ValueError(f"{topic} is heard already: name all its types in one place")

        def remember(handler: Handler) -> Handler:
            self._ears[topic] = Ear(topic, types, handler, in_batches, tombstones, plainly)
            return handler

        return remember

    async def healthy(self) -> None:
        """For readiness. Raises NotHearing while a handler fails or the broker does not answer."""
        failing = [f"{ear.topic}: {ear.trouble}" for ear in self._ears.values() if ear.trouble]
        if failing:
            raise NotHearing("; ".join(failing))
        if self._ears and monotonic() - self._reached > SILENT_S:
            raise NotHearing("the broker does not answer")

    async def stop(self) -> None:
        """Lets the handlers under way finish and leaves the group; bounded."""
        self._stopping.set()
        await asyncio.wait_for(self._ended.wait(), 2 * STOP_S)

    async def run(self) -> None:
        """Hears until stopped; a broker that is away is waited for."""
        self._ended.clear()
        pause = FIRST_PAUSE_S
        try:
            while self._ears and not self._stopping.is_set():
                begun = monotonic()
                try:
                    await self._connected()
                except Exception as fault:  # noqa: BLE001 - whatever it is, it is tried again
                    log.warning("hearing waits for the broker", reason=in_a_line(fault), again_in_s=pause)
                pause = FIRST_PAUSE_S if monotonic() - begun > LONGEST_PAUSE_S else min(pause * 2, LONGEST_PAUSE_S)
                await self._sleep(pause)
        finally:
            self._ended.set()
            await self._letters.close()

    async def _connected(self) -> None:
        broker = self._broker()
        subscriber = self._subscriber(broker)
        try:
            await asyncio.wait_for(broker.start(), 3 * STOP_S)
            assert subscriber.consumer is not None
            connected = monotonic()
            while not self._stopping.is_set() and any(not task.done() for task in subscriber.tasks):
                await self._watch(subscriber.consumer)
                if monotonic() - max(self._reached, connected) > STUCK_S:
                    raise NotHearing("the client does not find its broker again: it is made anew")
                await self._sleep(WATCH_S)
        finally:
            await _stopped(broker)

    def _broker(self) -> KafkaBroker:
        return KafkaBroker(
            servers(self._bootstrap),
            client_id=self._service,
            consumer_only=True,
            allow_auto_create_topics=False,
            metadata_max_age_ms=10_000,
            request_timeout_ms=20_000,
            retry_backoff_ms=100,
            graceful_timeout=STOP_S,
            apply_types=False,
            logger=logging.getLogger("faststream.kafka"),
            log_level=logging.DEBUG,  # it says two lines for each poll
        )

    def _subscriber(self, broker: KafkaBroker) -> BatchSubscriber:
        self._progress = Progress(self._prefix)
        subscriber = broker.subscriber(
            *(self._prefix + topic for topic in self._ears),
            batch=True,
            group_id=self._group,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.MANUAL,
            fetch_max_wait_ms=self._longest_wait_ms,
            fetch_min_bytes=self._enough_bytes,
            session_timeout_ms=6_000,
            heartbeat_interval_ms=1_000,
            max_poll_interval_ms=A_DAY_MS,
            listener=self._progress,
            parser=_as_it_came,
            decoder=_undecoded,
        )

        async def on_records(records: Any) -> None:  # FastStream builds a model of what it is told here
            assert subscriber.consumer is not None
            await self._take(subscriber.consumer, records)

        subscriber(on_records)
        subscriber.get_msg = self._polled  # type: ignore[method-assign] # its own sleeps after each empty poll, with records waiting
        return subscriber

    async def _polled(self, consumer: AIOKafkaConsumer) -> Any:
        by_partition = await consumer.getmany(timeout_ms=POLL_MS, max_records=self._batch)
        return tuple(chain.from_iterable(by_partition.values()))

    async def _take(self, consumer: AIOKafkaConsumer, records: Sequence[Incoming]) -> None:
        """One poll's records: the topics beside each other, each topic in order; then the offsets."""
        try:
            await self._progress.received(consumer, records)
        except (KafkaError, TimeoutError) as fault:
            log.warning("what was committed is not known", reason=type(fault).__name__)
        by_topic: dict[str, list[Incoming]] = defaultdict(list)
        for record in records:
            by_topic[record.topic.removeprefix(self._prefix)].append(record)
        done: Done = {}
        await asyncio.gather(*(self._hear(consumer, self._ears[topic], mine, done) for topic, mine in by_topic.items()))
        if done:
            await self._commit(consumer, done)

    async def _hear(self, consumer: AIOKafkaConsumer, ear: Ear, records: list[Incoming], done: Done) -> None:
        try:
            await ear.take(records, done, self._bury)
        except Exception as fault:
            pause = min(FIRST_PAUSE_S * 2**ear.failures, LONGEST_PAUSE_S)
            ear.failures = min(ear.failures + 1, 10)
            ear.trouble = type(fault).__name__
            log.exception("a handler failed and is called again", topic=ear.topic, again_in_s=pause)
            self._later(consumer, records, done, pause)
        else:
            ear.failures, ear.trouble = 0, None
        self._progress.next.update({p: offset for p, offset in done.items() if p.topic == self._prefix + ear.topic})

    def _later(self, consumer: AIOKafkaConsumer, records: list[Incoming], done: Done, pause: float) -> None:
        """Goes back to the first record of each partition that is not handled, and reads none of the topic for `pause` seconds.

        The member goes on polling meanwhile, so it keeps its partitions, and its other topics go on.
        """
        first: Done = {}
        for record in records:
            first.setdefault(TopicPartition(record.topic, record.partition), record.offset)
        mine = {partition for partition in consumer.assignment() if partition.topic == records[0].topic}
        for partition in mine & first.keys():
            consumer.seek(partition, done.get(partition, first[partition]))
        consumer.pause(*mine)
        asyncio.get_running_loop().call_later(pause, _resume, consumer, mine)

    async def _bury(self, record: Incoming, reason: str) -> None:
        await bury(self._letters, record, reason, service=self._service, prefix=self._prefix)

    async def _commit(self, consumer: AIOKafkaConsumer, done: Done) -> None:
        """A commit that fails loses nothing: the records come again, which no handler minds."""
        mine = {partition: offset for partition, offset in done.items() if partition in consumer.assignment()}
        try:
            if mine:
                await asyncio.wait_for(consumer.commit(mine), COMMIT_S)
        except (CommitFailedError, IllegalStateError):
            log.info("the partitions were dealt anew before a commit; the records come again")
        except (KafkaError, TimeoutError) as fault:
            log.warning("offsets were not committed; the records may come again", reason=type(fault).__name__)

    async def _watch(self, consumer: AIOKafkaConsumer) -> None:
        try:
            await self._progress.ask(consumer)
        except (KafkaError, TimeoutError, IllegalStateError) as fault:
            log.info("the broker does not tell the logs' ends", reason=type(fault).__name__)
        else:
            self._reached = monotonic()

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return


async def _as_it_came(records: Any) -> KafkaMessage:
    """FastStream's own parser would fail on a header that is no UTF-8, outside of what we can put to the dead letters."""
    return KafkaMessage(body=b"", raw_message=records, consumer=None)  # type: ignore[arg-type] # we commit ourselves


async def _undecoded(message: KafkaMessage) -> Any:
    return message.raw_message


def _resume(consumer: AIOKafkaConsumer, partitions: set[TopicPartition]) -> None:
    consumer.resume(*(partitions & consumer.assignment()))


async def _stopped(broker: KafkaBroker) -> None:
    """FastStream's stop has been seen to hang."""
    try:
        await asyncio.wait_for(broker.stop(), 2 * STOP_S)
    except Exception as fault:  # noqa: BLE001 - it is left behind
        log.warning("the broker's client did not stop", reason=in_a_line(fault))
