"""Background work: walks that stayed away are ended, tokens given up are revoked at their CA."""

import asyncio

from ca_connector.oauth import MetadataMismatch
from ca_connector.outbound import CaAnswerUnknown, CaNotReached
from ca_connector.parts import Parts
from ca_connector.storage import access as accesses
from ca_connector.storage import walks
from observability import get_logger

log = get_logger(__name__)

EVERY_S = 1.0
MAX_ATTEMPTS = 30  # with growing pauses, about a day


class Chores:
    """Safe in any number of instances: rows are locked while they are worked on."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def run(self) -> None:
        """For the life of the process."""
        while True:
            async with self._parts.sessions.begin() as session:
                await walks.end_overdue(session, self._parts.sealer, self._parts.clock())
            while await self._revoke_one():
                pass
            await asyncio.sleep(EVERY_S)

    async def _revoke_one(self) -> bool:
        """Whether a token was due."""
        parts, now = self._parts, self._parts.clock()
        async with parts.sessions.begin() as session:
            task = await accesses.next_revocation(session, now)
            if task is None:
                return False
            ca = await parts.ca(task.certificate_authority_id)
            refresh = parts.sealer.open(task.refresh_token, "to_revoke", task.id).decode()
            try:
                done = await parts.oauth.revoke(ca.client, refresh)
            except (CaNotReached, CaAnswerUnknown, MetadataMismatch):
                done = False
            if done or task.attempts >= MAX_ATTEMPTS:
                if not done:
                    log.error("a CA never confirmed the revocation of tokens given up", authority=ca.profile.name)
                await accesses.revocation_done(session, task.id)
            else:
                await accesses.revocation_later(session, task.id, task.attempts + 1, now)
        return True
