"""What nobody may ask for any more is removed. It counts as absent from its last instant on, swept or not."""

import asyncio

from sqlalchemy import delete

from hosting import Clock
from hosting.database import Sessions
from signing_gateway.storage.tables import activation, deferred_order, keyed_request, login, revocation

EVERY_S = 60.0

ENDS = {
    keyed_request: keyed_request.c.kept_until,
    activation: activation.c.expires_at,
    deferred_order: deferred_order.c.kept_until,
    login: login.c.ends_at,
    revocation: revocation.c.ends_at,
}


class Sweeper:
    """Removes rows after their end. Several gateways may sweep at once."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self._sessions, self._clock = sessions, clock

    async def run(self) -> None:
        """Sweeps for the life of the process."""
        while True:
            await self.sweep()
            await asyncio.sleep(EVERY_S)

    async def sweep(self) -> None:
        """One round."""
        now = self._clock()
        for table, ends in ENDS.items():
            async with self._sessions.begin() as session:
                await session.execute(delete(table).where(ends <= now))
