"""Signature activation data (SAD) at a CA that gives them for the asking: each for several calls, kept in memory.

Losing them costs a call. Several may be in use for one certificate at the same time.
"""

import asyncio
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

from ca_connector.csc import CscRefused, Sad, TokenRefused
from ca_connector.outbound import CaAnswerUnknown, CaNotReached
from ca_connector.parts import Ca
from ca_connector.storage.access import Access
from hosting import Clock

MAX_HASHES_PER_CALL = 1_000
SAD_SKEW_S = 30
KEPT = 4  # for one certificate; the fullest stay


@dataclass(slots=True)
class Pooled:
    """A SAD, how many signatures are left of it, and when it ends: seconds since the epoch, our clock."""

    sad: str = field(repr=False)
    epoch: int
    left: int
    ends: float


def hashes_per_call(access: Access) -> int:
    """How many hashes one call to the CA takes."""
    return min(access.multisign, MAX_HASHES_PER_CALL)


class ActivationData:
    """The pool."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pool: dict[UUID, list[Pooled]] = {}
        self._locks: dict[UUID, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._ahead: set[asyncio.Task[None]] = set()
        self._not_extending: set[UUID] = set()

    def take(self, access: Access, count: int) -> str | None:
        """A SAD that has `count` signatures left, which are now taken; None where there is none in hand."""
        now = self._clock().timestamp()
        for pooled in self._pool.get(access.certificate_id, ()):
            if pooled.left >= count and pooled.epoch == access.epoch and now < pooled.ends - SAD_SKEW_S:
                pooled.left -= count
                return pooled.sad
        return None

    async def fetched(self, ca: Ca, access: Access, token: str, count: int) -> str:
        """As `take`, from the CA when none is in hand. Raises what `Csc.authorize` raises."""
        async with self._locks[access.certificate_id]:
            sad = self.take(access, count)
            if sad is not None:
                return sad
            made = await self._asked(ca, access, token, count)
            made.left -= count
            return made.sad

    def ahead(self, ca: Ca, access: Access, token: str, count: int) -> None:
        """Asks for another SAD while a call is under way, when `count` more signatures wait than those in hand serve."""
        if self._serve(access, count) or self._locks[access.certificate_id].locked():
            return
        task = asyncio.create_task(self._fetch_ahead(ca, access, token, count))
        self._ahead.add(task)
        task.add_done_callback(self._ahead.discard)

    def _serve(self, access: Access, count: int) -> bool:
        pool = self._pool.get(access.certificate_id, ())
        return sum(pooled.left for pooled in pool if pooled.epoch == access.epoch) >= count

    async def _fetch_ahead(self, ca: Ca, access: Access, token: str, count: int) -> None:
        """Whoever needs it asks again, and hears then what is wrong."""
        async with self._locks[access.certificate_id]:
            if self._serve(access, count):
                return  # several asked at once
            with suppress(TokenRefused, CscRefused, CaNotReached, CaAnswerUnknown):
                await self._asked(ca, access, token, 1)

    async def _asked(self, ca: Ca, access: Access, token: str, count: int) -> Pooled:
        sent_at = self._clock().timestamp()
        ending = self._ending(access, count, sent_at)
        sad = await (self._extended(ca, access, token, ending) if ending else self._new(ca, access, token))
        made = Pooled(sad.value, access.epoch, sad.count, sent_at + sad.expires_in)
        kept = [each for each in self._pool.get(access.certificate_id, ()) if each.left and each.ends > sent_at]
        self._pool[access.certificate_id] = sorted([*kept, made], key=lambda each: each.left)[-KEPT:]
        return made

    def _ending(self, access: Access, count: int, now: float) -> Pooled | None:
        """One that would do and is about to end; it leaves the pool."""
        pool = self._pool.get(access.certificate_id, [])
        for each in pool:
            if each.left >= count and each.epoch == access.epoch and each.ends - SAD_SKEW_S <= now < each.ends:
                pool.remove(each)
                return each
        return None

    async def _new(self, ca: Ca, access: Access, token: str) -> Sad:
        return await ca.csc.activate(token, access.credential_id, hashes_per_call(access))

    async def _extended(self, ca: Ca, access: Access, token: str, ending: Pooled) -> Sad:
        """What is left of one under a new one (`credentials/extendTransaction`); from a CA that does not extend, another."""
        if ca.profile.id not in self._not_extending:
            try:
                return await ca.csc.extend(token, access.credential_id, ending.sad, ending.left)
            except (CscRefused, CaAnswerUnknown):
                self._not_extending.add(ca.profile.id)
        return await self._new(ca, access, token)

    def drop(self, certificate_id: UUID, sad: str | None = None) -> None:
        """The CA does not take this SAD any more; without one, none of this certificate's."""
        kept = [each for each in self._pool.pop(certificate_id, ()) if sad is not None and each.sad != sad]
        if kept:
            self._pool[certificate_id] = kept
