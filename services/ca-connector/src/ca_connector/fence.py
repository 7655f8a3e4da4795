"""The second fence, judged just before each call to a CA, and the accesses that it keeps fresh (ADR 27, ADR 38).

An answer of the database is a lease: it is good for `LEASE_S` from before its question, and whoever gives access up waits for
as long before it says so. What is used is renewed ahead, all in one query.

Whoever asks while a query is under way waits for the next one, so an answer is never older than its question; and all who wait
share one query. It names the newest version of each access, so that one is read and opened again only when it has changed,
by whichever instance.
"""

import asyncio
import math
from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ca_connector.parts import Parts
from ca_connector.sealing import SealBroken
from ca_connector.storage.access import Access
from ca_connector.storage.standing import STANDING, Key, Standing, accesses, standings
from hosting import boottime
from observability import get_logger

log = get_logger(__name__)

QUERY_S = 5.0
LEASE_S = 1.0
"""Real seconds for which an epoch that stood may be taken to stand."""
LEASES_OVER_S = 1.1 * LEASE_S
"""For whoever has ended an epoch: no instance takes it to stand after so long. A timer may be early by a little."""
RENEWAL_S = LEASE_S / 2
PLANNED_ONCE = "SET plan_cache_mode = force_generic_plan"
"""By itself PostgreSQL plans anew for each number of keys, which takes five times as long as the look."""
HELD_ACCESSES = 100_000  # about 1 KB each
AWAY = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""What a database that is away looks like past SQLAlchemy. InternalClientError: it said goodbye and the socket still stands."""


class FenceUnknown(Exception):
    """The database does not say how the epochs stand, so nothing is signed."""


Standings = dict[int, Standing]
"""Of one certificate, by epoch."""


class Known(NamedTuple):
    """How epochs stood when the database was asked, which is good until the boot time `until`."""

    standings: Standings
    until: float


class Question(msgspec.Struct, eq=False):
    """How epochs of a certificate stand, and who waits to hear it: nobody when a lease is renewed."""

    certificate_id: UUID
    epochs: Collection[int]
    answer: "asyncio.Future[Known] | None" = None

    @property
    def waiting(self) -> "asyncio.Future[Known] | None":
        """Who waits still: a caller may have been cancelled."""
        return None if self.answer is None or self.answer.done() else self.answer


class Lease(msgspec.Struct, eq=False):
    """What is known of one certificate, good until the boot time `until`."""

    certificate_id: UUID
    until: float
    standings: Standings
    access: Access | SealBroken | None = None
    used: bool = False  # to judge by, since it was last renewed


@dataclass
class Fence:
    """Says how epochs stand, and asks the database one query at a time."""

    engine: AsyncEngine
    parts: Parts
    _leases: dict[int, Lease] = field(default_factory=dict)  # by the number of a certificate's id, as lanes are
    _used: list[Lease] = field(default_factory=list)
    _renewed: float = -math.inf
    _asked: list[Question] = field(default_factory=list)
    _asking: asyncio.Task[None] | None = None
    _connection: AsyncConnection | None = None
    _looking: Any = None  # the look as prepared on it: SQLAlchemy's way, and asyncpg's own to a statement, cost more than it

    async def close(self) -> None:
        """Lets a query end, and gives the connection back."""
        if self._asking is not None:
            await asyncio.wait([self._asking], timeout=QUERY_S)
        await self._forget()

    def leased(self, certificate_id: UUID, epochs: AbstractSet[int]) -> Known | None:
        """How these stand, by a lease; None where none says it of each, and it has to be looked for."""
        lease, now = self._leases.get(certificate_id.int), boottime()
        if lease is None or now >= lease.until or not lease.standings.keys() >= epochs:
            return None
        if not lease.used:
            lease.used = True
            self._used.append(lease)
        if now - self._renewed >= RENEWAL_S:
            self._renew(now)
        return Known(lease.standings, lease.until)

    def look(self, certificate_id: UUID, epochs: Collection[int]) -> "asyncio.Future[Known]":
        """How these stand at an instant after this call. An epoch never assigned is missing. Raises FenceUnknown."""
        # One for each caller: one that is cancelled must not take the answer from the others.
        answer: asyncio.Future[Known] = asyncio.get_running_loop().create_future()
        self._ask(Question(certificate_id, epochs, answer))
        return answer

    def doubt(self, certificate_id: UUID) -> None:
        """Ends the lease: this certificate's access may be another one by now."""
        if lease := self._leases.get(certificate_id.int):
            lease.until = -math.inf

    def access(self, certificate_id: UUID) -> Access | None:
        """The access as of the last look; None where there never was one. Raises SealBroken."""
        lease = self._leases.get(certificate_id.int)
        if lease is None:
            return None
        if isinstance(lease.access, SealBroken):
            raise lease.access
        return lease.access

    def _renew(self, now: float) -> None:
        used, self._used, self._renewed = self._used, [], now
        for lease in used:
            lease.used = False
            self._ask(Question(lease.certificate_id, lease.standings.keys()))

    def _ask(self, question: Question) -> None:
        self._asked.append(question)
        if self._asking is None:
            self._asking = asyncio.get_running_loop().create_task(self._answer_all())

    async def _answer_all(self) -> None:
        while self._asked:
            asked, self._asked = self._asked, []
            try:
                answers = await self._answers(asked)
            except Exception as fault:  # whatever it is: nobody may wait for ever
                if not isinstance(fault, AWAY):
                    log.exception("the fence failed on our side")
                for each in asked:
                    if waiting := each.waiting:
                        waiting.set_exception(FenceUnknown(f"the database does not answer ({type(fault).__name__})"))
            else:
                for each, answer in zip(asked, answers, strict=True):
                    if waiting := each.waiting:
                        waiting.set_result(answer)
        self._asking = None

    async def _answers(self, asked: Sequence[Question]) -> list[Known]:
        """Each one's; what changed of its access since the last look is read too."""
        while len(self._leases) > HELD_ACCESSES:
            del self._leases[next(iter(self._leases))]
        until = boottime() + LEASE_S
        found = iter(await self._standings([(each.certificate_id, epoch) for each in asked for epoch in each.epochs]))
        answers = [{epoch: standing for epoch in each.epochs if (standing := next(found))} for each in asked]
        changed = {
            each.certificate_id
            for each, answer in zip(asked, answers, strict=True)
            for standing in answer.values()
            if self._version(each.certificate_id) != standing.token_version
        }
        read = await self._read(changed) if changed else {}
        for each, answer in zip(asked, answers, strict=True):
            if answer:
                self._let(each.certificate_id, until, answer)
        for certificate_id, access in read.items():
            self._leases[certificate_id.int].access = access
        return [Known(answer, until) for answer in answers]

    def _let(self, certificate_id: UUID, until: float, standings: Standings) -> None:
        """A lease of all that was asked of a certificate in one query; of what was asked before nothing is known any more."""
        lease = self._leases.pop(certificate_id.int, None) or Lease(certificate_id, until, {})
        lease.standings = lease.standings | standings if lease.until == until else standings
        lease.until = until
        self._leases[certificate_id.int] = lease  # the last: the first is who was not asked about for longest

    def _version(self, certificate_id: UUID) -> int | None:
        """Of the access that is held."""
        lease = self._leases.get(certificate_id.int)
        return lease.access.token_version if lease and isinstance(lease.access, Access) else None

    async def _read(self, changed: Collection[UUID]) -> dict[UUID, Access | SealBroken]:
        async with self.parts.sessions() as session:
            return await accesses(session, changed, self.parts.sealer)

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
