"""Walks that are open are asked after: a process that died between the CA's callback and the outcome loses nothing."""

from certificate_registry import walk
from certificate_registry.connector import Connector
from certificate_registry.outcomes import adopt, adopt_never_begun
from certificate_registry.storage import walks
from certificate_registry.storage.tables import WalkRow
from hosting import Clock
from hosting.calls import CallNotSent, CallOutcomeUnknown, CallRefused
from hosting.database import Sessions
from observability import get_logger

log = get_logger(__name__)


class Reconcile:
    """Adopts outcomes that nobody waited for."""

    def __init__(self, sessions: Sessions, connector: Connector, clock: Clock, ticket_key: bytes) -> None:
        self._sessions, self._connector, self._clock, self._ticket_key = sessions, connector, clock, ticket_key

    async def once(self) -> None:
        """Asks the connector for every open walk that is old enough not to be somebody's request under way."""
        async with self._sessions() as session:
            rows = await walks.to_settle(session, self._clock(), walk.SETTLES_AFTER)
        for row in rows:
            try:
                await self._settle(row)
            except (CallNotSent, CallOutcomeUnknown) as fault:
                log.info("the connector cannot be asked after open walks", fault=str(fault), walks=len(rows))
                return

    async def _settle(self, row: WalkRow) -> None:
        now = self._clock()
        try:
            outcome = await self._connector.authorisation(row.id)
        except CallRefused as refusal:
            if refusal.status != 404:
                log.warning("the connector refuses to say how a walk stands", walk_id=str(row.id), status=refusal.status)
            elif now - row.begun_at > walk.NOT_BEGUN_AFTER:
                await adopt_never_begun(self._sessions, row.id, now, ticket_key=self._ticket_key)
            return
        if outcome.status == "awaiting-ca" and row.state_used_at and now - row.state_used_at > walk.CALLBACK_LOST_AFTER:
            outcome = await self._connector.cancel(row.id)
            if outcome.status == "cancelled":
                outcome = outcome.model_copy(update={"status": "failed", "reason": "interrupted"})
        adopted = await adopt(self._sessions, row.id, outcome, now, ticket_key=self._ticket_key)
        if adopted.ended_at is not None:
            log.info("a walk's outcome was adopted", walk_id=str(row.id), status=adopted.status)
