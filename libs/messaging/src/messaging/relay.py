"""The relay: sends what the outbox holds, in order, and marks it sent only after the broker's acknowledgement.

One relay works per database at a time, by an advisory lock that ends with its transaction; the others stand by. After a crash
between acknowledgement and mark the same events are sent again, with the same ids, which no consumer minds.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from prometheus_client import Gauge
from sqlalchemy import ARRAY, BigInteger, Row, any_, bindparam, delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from contracts.envelope import headers_of
from messaging.outbox import OUTBOX, wakes
from messaging.producing import Producer, Record, in_a_line
from observability import get_logger

log = get_logger(__name__)

PENDING = Gauge("outbox_pending", "Events that wait in the outbox")
OLDEST = Gauge("outbox_oldest_seconds", "Age of the oldest event that waits in the outbox, by the service's clock")

LOCK = 0x4F_55_54_42
BATCH = 500
LOOK_S = 1.0  # for what others told that could not wake us: a command, an instance that died
RETRY_S = 0.1
OBSERVE_S = 2.0
PURGE_S = 60.0
PURGE_ROWS = 5_000
KEPT = timedelta(days=1)
SEND_S = 15.0
STOP_S = 5.0

_UNSENT = select(OUTBOX).where(OUTBOX.c.sent_at.is_(None)).order_by(OUTBOX.c.id).limit(BATCH)
_MARKED = (
    update(OUTBOX)
    .where(OUTBOX.c.id == any_(bindparam("ids", type_=ARRAY(BigInteger))))
    .values(sent_at=bindparam("when", type_=OUTBOX.c.sent_at.type))
)


class Relay:
    """Sends the outbox of one database. `run` is a background task; several instances may run."""

    def __init__(
        self, engine: AsyncEngine, bootstrap: str, *, service: str, clock: Callable[[], datetime], prefix: str = ""
    ) -> None:
        self._engine, self._bootstrap, self._service, self._clock, self._prefix = engine, bootstrap, service, clock, prefix
        self._woken = asyncio.Event()
        self._stopping = False
        self._ended = asyncio.Event()
        self._ended.set()
        self._observed = self._purged = float("-inf")
        wakes(engine.sync_engine, self._woken)

    def poke(self) -> None:
        """Looks at the table now. A commit that told something pokes by itself."""
        self._woken.set()

    async def stop(self) -> None:
        """Sends what is committed, then ends `run`; bounded."""
        self._stopping = True
        self._woken.set()
        await asyncio.wait_for(self._ended.wait(), STOP_S)

    async def run(self) -> None:
        """Sends for ever; outages of the database or the broker are waited out."""
        producer = Producer(self._bootstrap, f"{self._service}-relay")
        self._ended.clear()
        delay = RETRY_S
        try:
            while True:
                self._woken.clear()
                stopping = self._stopping
                try:
                    sent = await self._pass(producer)
                except Exception as fault:  # noqa: BLE001 - whatever it is, it is tried again
                    if stopping:
                        return
                    log.warning("the outbox waits", reason=in_a_line(fault), again_in_s=delay)
                    await asyncio.sleep(delay)
                    delay = min(delay * 2, 5.0)
                    continue
                delay = RETRY_S
                if sent is None or sent < BATCH:
                    if stopping:
                        return
                    await self._waits(RETRY_S if sent is None else LOOK_S)
        finally:
            self._ended.set()
            await producer.close()

    async def _waits(self, at_most_s: float) -> None:
        try:
            await asyncio.wait_for(self._woken.wait(), at_most_s)
        except TimeoutError:
            return

    async def _pass(self, producer: Producer) -> int | None:
        """One batch; answers how many events were sent, None while another relay holds the lock, which may not have seen ours."""
        async with self._engine.connect() as connection:
            await self._observe(connection)
            if not (await connection.execute(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": LOCK})).scalar():
                return None
            rows = (await connection.execute(_UNSENT)).all()
            if rows:
                await producer.send([self._record(row) for row in rows], within_s=SEND_S)
                await connection.execute(_MARKED, {"ids": [row.id for row in rows], "when": self._clock()})
            if await self._purge(connection) or rows:
                await connection.commit()
            return len(rows)

    def _record(self, row: "Row[tuple[object, ...]]") -> Record:
        headers = headers_of(row.type, event_id=row.event_id, source=self._service, at=row.at, traceparent=row.traceparent)
        return Record(self._prefix + row.topic, row.key.encode(), row.body, headers)

    async def _observe(self, connection: AsyncConnection) -> None:
        if not self._due("_observed", OBSERVE_S):
            return
        waiting = select(func.count(), func.min(OUTBOX.c.at)).where(OUTBOX.c.sent_at.is_(None))
        pending, oldest = (await connection.execute(waiting)).one()
        PENDING.set(pending)
        OLDEST.set((self._clock() - oldest).total_seconds() if oldest else 0)

    async def _purge(self, connection: AsyncConnection) -> bool:
        if not self._due("_purged", PURGE_S):
            return False
        old = select(OUTBOX.c.id).where(OUTBOX.c.sent_at < self._clock() - KEPT).limit(PURGE_ROWS)
        await connection.execute(delete(OUTBOX).where(OUTBOX.c.id.in_(old)))
        return True

    def _due(self, what: str, every_s: float) -> bool:
        now = asyncio.get_running_loop().time()
        if now - getattr(self, what) < every_s:
            return False
        setattr(self, what, now)
        return True
