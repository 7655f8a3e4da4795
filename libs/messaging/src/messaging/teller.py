"""Telling without a database: the caller waits for the acknowledgement, since what it releases depends on it."""

from collections.abc import Awaitable
from datetime import datetime
from itertools import count
from uuid import uuid4

from aiokafka.errors import KafkaError

from contracts import Tellable, encode
from messaging.batches import Batches
from messaging.producing import Producer, Record, in_a_line
from messaging.tracing import telling
from observability import get_logger, left_out, traceparent

log = get_logger(__name__)
TELL_S = 8.0


class NotTold(Exception):
    """No acknowledgement came in time. The event may have arrived, or arrive yet: consumers must not mind."""


class Teller:
    """Tells events of `service` at once. Concurrent tells share batches, so gather them."""

    def __init__(self, bootstrap: str, *, service: str, prefix: str = "", within_s: float = TELL_S) -> None:
        self._service, self._prefix = service, prefix
        self._producer = Producer(bootstrap, service)
        self._batches = Batches(self._producer, within_s=within_s)
        self._ids = (f"{prefix}{number:012x}" for prefix in (str(uuid4())[:24],) for number in count())

    async def start(self) -> None:
        """Connects. A broker that is away is no reason not to start: each tell tries again."""
        try:
            await self._producer.connect()
        except (KafkaError, OSError, TimeoutError) as fault:
            log.warning("the broker cannot be reached yet", reason=in_a_line(fault))

    async def stop(self) -> None:
        """Closes the connection; whoever still waits gets NotTold."""
        await self._batches.close()
        await self._producer.close()

    async def tell(self, event: Tellable, *, at: datetime) -> None:
        """Returns when all in-sync replicas have the event. `at`: the service's clock, aware. Raises NotTold within 8 s."""
        try:
            if left_out():  # and whoever hears it leaves it out too
                await self._sent(event, at, None)
            else:
                with telling(event.topic):
                    await self._sent(event, at, traceparent())
        except (KafkaError, OSError, TimeoutError) as fault:
            raise NotTold(f"{event.type} was not acknowledged ({type(fault).__name__})") from fault

    def _sent(self, event: Tellable, at: datetime, trace: str | None) -> Awaitable[None]:
        value, headers = encode(event, event_id=next(self._ids), source=self._service, at=at, traceparent=trace)
        return self._batches.sent(Record(self._prefix + event.topic, event.key.encode(), value, headers))
