"""Telling without a database: the caller waits for the acknowledgement, since what it releases depends on it."""

import asyncio
from datetime import datetime
from uuid import uuid4

from aiokafka.errors import KafkaError

from contracts import Told, encode
from messaging.producing import Producer, Record, in_a_line
from messaging.tracing import telling
from observability import get_logger, traceparent

log = get_logger(__name__)
TELL_S = 8.0


class NotTold(Exception):
    """No acknowledgement came in time. The event may have arrived, or arrive yet: consumers must not mind."""


class Teller:
    """Tells events of `service` at once. Concurrent tells share batches, so gather them."""

    def __init__(self, bootstrap: str, *, service: str, prefix: str = "", within_s: float = TELL_S) -> None:
        self._service, self._prefix, self._within_s = service, prefix, within_s
        self._bootstrap = bootstrap
        self._made: Producer | None = None

    async def start(self) -> None:
        """Connects. A broker that is away is no reason not to start: each tell tries again."""
        try:
            await self._producer().connect()
        except (KafkaError, OSError, TimeoutError) as fault:
            log.warning("the broker cannot be reached yet", reason=in_a_line(fault))

    async def stop(self) -> None:
        """Closes the connection; whoever still waits gets NotTold."""
        if self._made is not None:
            await self._made.close()

    async def tell(self, event: Told, *, at: datetime) -> None:
        """Returns when all in-sync replicas have the event. `at`: the service's clock, aware. Raises NotTold within 8 s."""
        with telling(event.topic):
            value, headers = encode(event, event_id=uuid4(), source=self._service, at=at, traceparent=traceparent())
            record = Record(self._prefix + event.topic, event.key.encode(), value, headers)
            try:
                await self._producer().send([record], within_s=self._within_s)
            except (KafkaError, OSError, TimeoutError, asyncio.CancelledError) as fault:
                if isinstance(fault, asyncio.CancelledError) and (task := asyncio.current_task()) and task.cancelling():
                    raise
                raise NotTold(f"{event.type} was not acknowledged ({type(fault).__name__})") from fault

    def _producer(self) -> Producer:
        if self._made is None:
            self._made = Producer(self._bootstrap, self._service)
        return self._made
