"""The one way we produce: idempotent, acknowledged by all in-sync replicas, in bounded time, healing by itself."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from aiokafka import AIOKafkaProducer
from msgspec import Struct

from contracts.envelope import Headers

CONNECT_S = 5.0
CLOSE_S = 5.0
BATCH_BYTES = 262_144
REQUEST_S = 4.0
RETRY_S = 0.1


class Record(Struct, frozen=True):
    """What goes on the bus."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers


class Producer:
    """An aiokafka producer that is thrown away after any failure.

    A living one answers OutOfOrderSequenceNumber for ever after the broker lost or re-made its log, and retries for ever
    what nobody waits for any more.
    """

    def __init__(self, bootstrap: str, client_id: str) -> None:
        self._bootstrap = servers(bootstrap)
        self._client_id = client_id
        self._producer: AIOKafkaProducer | None = None
        self._making = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        """Makes the connection now instead of at the first record. Raises what hinders it."""
        await self.current()

    async def send(self, records: Sequence[Record], *, within_s: float) -> None:
        """Returns when all are acknowledged; those of one key stay in order. Raises TimeoutError or a KafkaError.

        After a failure some of them may have arrived, or arrive yet.
        """
        producer: AIOKafkaProducer | None = None
        sent: list[asyncio.Future[object]] = []
        try:
            async with asyncio.timeout(within_s):
                producer = await self.current()
                for record in records:
                    acknowledged = await producer.send(record.topic, record.value, key=record.key, headers=record.headers)
                    sent.append(acknowledged)
                await asyncio.gather(*sent)
        except BaseException:
            for acknowledged in sent:
                acknowledged.add_done_callback(_retrieved)
            if producer is not None:
                self.discard(producer)
            raise

    async def close(self) -> None:
        """Closes the connections; bounded."""
        if self._producer is not None:
            self.discard(self._producer)
        if self._closing:
            await asyncio.wait(self._closing, timeout=CLOSE_S)

    async def current(self) -> AIOKafkaProducer:
        """The living producer, made where there is none. Raises what hinders it."""
        if self._producer is not None and not self._closing:
            return self._producer
        async with self._making:
            if self._closing:  # what the last one had in flight must not overtake what this one sends
                await asyncio.wait(self._closing, timeout=CLOSE_S)
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._bootstrap,
                    client_id=self._client_id,
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=1,
                    max_batch_size=BATCH_BYTES,
                    request_timeout_ms=int(REQUEST_S * 1_000),
                    retry_backoff_ms=int(RETRY_S * 1_000),
                    metadata_max_age_ms=30_000,
                )
                try:
                    await asyncio.wait_for(producer.start(), CONNECT_S)
                except BaseException:
                    self.discard(producer)
                    raise
                self._producer = producer
            return self._producer

    def discard(self, producer: AIOKafkaProducer) -> None:
        """Throws it away after a failure; the next record gets another."""
        if self._producer is producer:
            self._producer = None
        closing = asyncio.create_task(_closed(producer))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


async def _closed(producer: AIOKafkaProducer) -> None:
    """Stops it without waiting for what it still wants to send: aiokafka's own stop would flush, for ever when it cannot."""
    sender = producer._sender.sender_task  # noqa: SLF001 - there is no public way to give up
    if sender is not None:
        sender.cancel()
    with suppress(Exception):
        await asyncio.wait_for(producer.stop(), CLOSE_S)


def _retrieved(acknowledged: asyncio.Future[object]) -> None:
    """Nobody waits for it any more; asyncio shall not complain."""
    if not acknowledged.cancelled():
        acknowledged.exception()


def servers(bootstrap: str) -> list[str]:
    """`host:port,host:port` as the list that the clients want."""
    return [part.strip() for part in bootstrap.split(",") if part.strip()]


def in_a_line(fault: BaseException) -> str:
    """What went wrong, for a log: the kind and the first line, since a database's goes on with statements."""
    first = str(fault).split("\n", 1)[0][:200]
    return f"{type(fault).__name__}: {first}" if first else type(fault).__name__
