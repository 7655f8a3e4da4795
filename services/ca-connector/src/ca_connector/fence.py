"""The second fence, judged just before each call to a CA, and the accesses that it keeps fresh (ADR 27).

Whoever asks while a query is under way waits for the next one, so an answer is never older than its question; and all who wait
share one query. It names the newest version of each access, so that one is read and opened again only when it has changed,
by whichever instance.
"""

import asyncio
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ca_connector.parts import Parts
from ca_connector.sealing import SealBroken
from ca_connector.storage.access import Access
from ca_connector.storage.standing import STANDING, Key, Standing, accesses, standings
from observability import get_logger

log = get_logger(__name__)

QUERY_S = 5.0
PLANNED_ONCE = "SET plan_cache_mode = force_generic_plan"
"""By itself PostgreSQL plans anew for each number of keys, which takes five times as long as the look."""
HELD_ACCESSES = 100_000  # about 1 KB each
AWAY = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""What a database that is away looks like past SQLAlchemy. InternalClientError: it said goodbye and the socket still stands."""


class FenceUnknown(Exception):
    """The database does not say how the epochs stand, so nothing is signed."""


Standings = dict[int, Standing]
"""Of one certificate, by epoch."""


class Question(msgspec.Struct, eq=False):
    """Somebody who waits to hear how epochs of a certificate stand."""

    certificate_id: UUID
    epochs: Collection[int]
    answer: "asyncio.Future[Standings]"


@dataclass
class Fence:
    """Asks how epochs stand, one query at a time."""

    engine: AsyncEngine
    parts: Parts
    _held: dict[int, Access | SealBroken] = field(default_factory=dict)  # by the number of a certificate's id, as lanes are
    _asked: list[Question] = field(default_factory=list)
    _asking: asyncio.Task[None] | None = None
    _connection: AsyncConnection | None = None
    _looking: Any = None  # the look as prepared on it: SQLAlchemy's way, and asyncpg's own to a statement, cost more than it

    async def close(self) -> None:
        """Lets a query end, and gives the connection back."""
        if self._asking is not None:
            await asyncio.wait([self._asking], timeout=QUERY_S)
        await self._forget()

    def look(self, certificate_id: UUID, epochs: Collection[int]) -> "asyncio.Future[Standings]":
        """How these stand at an instant after this call. An epoch never assigned is missing. Raises FenceUnknown."""
        # One for each caller: one that is cancelled must not take the answer from the others.
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Standings] = loop.create_future()
        self._asked.append(Question(certificate_id, epochs, answer))
        if self._asking is None:
            self._asking = loop.create_task(self._ask())
        return answer

    def access(self, certificate_id: UUID) -> Access | None:
        """The access as of the last look; None where there never was one. Raises SealBroken."""
        held = self._held.get(certificate_id.int)
        if isinstance(held, SealBroken):
            raise held
        return held

    async def _ask(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, []
            try:
                answers = await self._answers(asked)
            except Exception as fault:  # whatever it is: nobody may wait for ever
                if not isinstance(fault, AWAY):
                    log.exception("the fence failed on our side")
                for each in asked:
                    if not each.answer.done():  # nor was its caller cancelled
                        each.answer.set_exception(FenceUnknown(f"the database does not answer ({type(fault).__name__})"))
            else:
                for each, answer in zip(asked, answers, strict=True):
                    if not each.answer.done():
                        each.answer.set_result(answer)
        self._asking = None

    async def _answers(self, asked: Sequence[Question]) -> list[Standings]:
        """Each one's; what changed of its access since the last look is read too."""
        found = iter(await self._standings([(each.certificate_id, epoch) for each in asked for epoch in each.epochs]))
        answers: list[Standings] = []
        changed: set[UUID] = set()
        for each in asked:
            answer: Standings = {}
            held = self._held.get(each.certificate_id.int)
            for epoch in each.epochs:
                if standing := next(found):
                    answer[epoch] = standing
                    if not isinstance(held, Access) or held.token_version != standing.token_version:
                        changed.add(each.certificate_id)
            answers.append(answer)
        if changed:
            await self._read(changed)
        return answers

    async def _read(self, changed: Collection[UUID]) -> None:
        async with self.parts.sessions() as session:
            read = await accesses(session, changed, self.parts.sealer)
        self._held |= {certificate_id.int: access for certificate_id, access in read.items()}
        while len(self._held) > HELD_ACCESSES:
            del self._held[next(iter(self._held))]

    async def _standings(self, keys: Sequence[Key]) -> list[Standing | None]:
        """On a connection that is kept; one that was dropped meanwhile is made anew, since asking twice changes nothing."""
        try:
            return await standings(self._looking or await self._connected(), keys, timeout_s=QUERY_S)
        except AWAY:
            await self._forget()
        try:
            return await standings(await self._connected(), keys, timeout_s=QUERY_S)
        except AWAY:
            await self._forget()
            raise

    async def _connected(self) -> Any:
        self._connection = await self.engine.connect()
        driver: Any = (await self._connection.get_raw_connection()).driver_connection
        await driver.execute(PLANNED_ONCE, timeout=QUERY_S)
        self._looking = await driver.prepare(STANDING, timeout=QUERY_S)
        return self._looking

    async def _forget(self) -> None:
        connection, self._connection, self._looking = self._connection, None, None
        if connection is not None:
            with suppress(*AWAY):
                await connection.invalidate()
            with suppress(*AWAY):
                await connection.close()
