"""A service of one table and its outbox on the real database, topics under a prefix of the test's own on the real broker."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError
from sqlalchemy import MetaData

from contracts import Account, SignatureApplied, encode
from contracts.examples import EXAMPLES
from hosting.database import open_engine, sessions_of
from messaging import Hearing, NotTold, outbox
from messaging.testing import create_topics, delete_topics

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


@pytest.fixture
def bootstrap(kafka_bootstrap):
    return kafka_bootstrap


@pytest.fixture
async def prefix(bootstrap):
    prefix = f"t{uuid4().hex[:8]}."
    await create_topics(bootstrap, prefix)
    yield prefix
    await delete_topics(bootstrap, prefix)


@pytest.fixture
def hearing(bootstrap, prefix):
    return Hearing(bootstrap, service="notifier", prefix=prefix)


@pytest.fixture
async def engine(fresh_database):
    metadata = MetaData()
    outbox(metadata)
    engine = open_engine(fresh_database)
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    yield engine
    await engine.dispose()


@pytest.fixture
def sessions(engine):
    return sessions_of(engine)


@pytest.fixture
def clock():
    return lambda: NOW


@pytest.fixture
def an_account() -> Callable[..., Account]:
    example = next(event for event in EXAMPLES if isinstance(event, Account))

    def build(version: int = 1, account_id: UUID | None = None) -> Account:
        return example.model_copy(update={"version": version, "account_id": account_id or example.account_id})

    return build


@pytest.fixture
def a_signature() -> Callable[..., SignatureApplied]:
    example = next(event for event in EXAMPLES if isinstance(event, SignatureApplied))

    def build(total: int = 1, certificate_id: UUID | None = None) -> SignatureApplied:
        return example.model_copy(update={"total": total, "certificate_id": certificate_id or example.certificate_id})

    return build


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], Awaitable[None]]:
    async def wait(condition: Callable[[], object], within_s: float = 30) -> None:
        async with asyncio.timeout(within_s):
            while not condition():
                await asyncio.sleep(0.02)

    return wait


@pytest.fixture
def persistently():
    """Tries until it works: after a topic was made anew the broker needs a moment to know it."""

    async def attempt(work, within_s: float = 60):
        async with asyncio.timeout(within_s):
            while True:
                try:
                    return await work()
                except (KafkaError, NotTold):
                    await asyncio.sleep(0.1)

    return attempt


@pytest.fixture
async def background():
    """Runs coroutines beside the test and ends them with it."""
    tasks = []

    def begin(work):
        tasks.append(asyncio.create_task(work))
        return tasks[-1]

    yield begin
    for task in tasks:
        if not task.cancelling():
            task.cancel()
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)


@pytest.fixture
async def producer(bootstrap):
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    yield producer
    await producer.stop()


@pytest.fixture
def all_of(bootstrap):
    """Every record of a topic, as it is now."""

    async def read(topic: str):
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False)
        await consumer.start()
        try:
            records = []
            ends = await consumer.end_offsets(consumer.assignment())
            async with asyncio.timeout(20):
                while any([await consumer.position(p) < end for p, end in ends.items()]):
                    for part in (await consumer.getmany(timeout_ms=200)).values():
                        records += part
            return sorted(records, key=lambda record: (record.partition, record.offset))
        finally:
            await consumer.stop()

    return read


@pytest.fixture
def publish(producer, prefix):
    """Puts an event on the bus as another service would."""

    async def told(event, **more):
        facts = {"event_id": uuid4(), "source": "test", "at": NOW, **more}
        value, headers = encode(event, **facts)
        return await producer.send_and_wait(prefix + event.topic, value, key=event.key.encode(), headers=headers)

    return told


class Wire:
    """A TCP proxy before the broker that can be frozen (nothing passes, nothing fails) or cut.

    The broker tells its own address to clients; in each answer it is replaced by the proxy's, which has the same length.
    """

    def __init__(self, bootstrap: str) -> None:
        host, port = bootstrap.split(",", maxsplit=1)[0].rsplit(":", 1)
        self._host, self._port = host, int(port)
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> str:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self._own = self._server.sockets[0].getsockname()[1]
        return f"127.0.0.1:{self._own}"

    def freeze(self) -> None:
        self._flows.clear()

    def thaw(self) -> None:
        self._flows.set()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def close(self) -> None:
        self.thaw()
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            there, back = await asyncio.open_connection(self._host, self._port)
            self._writers |= {writer, back}
            try:
                await asyncio.gather(self._requests(reader, back), self._answers(there, writer))
            finally:
                self._writers -= {writer, back}
                back.transport.abort()
                writer.transport.abort()

    async def _requests(self, reader, writer):
        while data := await reader.read(65536):
            await self._flows.wait()
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError

    async def _answers(self, reader, writer):
        theirs = self._host.encode() + struct.pack(">i", self._port)
        ours = self._host.encode() + struct.pack(">i", self._own)
        while True:
            size = await reader.readexactly(4)
            frame = await reader.readexactly(struct.unpack(">i", size)[0])
            await self._flows.wait()
            writer.write(size + frame.replace(theirs, ours))
            await writer.drain()


@pytest.fixture
async def wire(bootstrap):
    wire = Wire(bootstrap)
    wire.address = await wire.open()
    yield wire
    await wire.close()
