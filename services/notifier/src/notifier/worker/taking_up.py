"""Taking up: lines that are due become notices with one mail for each recipient. One account at a time, under its row's lock."""

import asyncio
from collections.abc import Callable
from uuid import UUID

from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncSession

from hosting import Clock
from hosting.database import Sessions
from notifier.notice import bundles, recipients
from notifier.storage.attempts import backlog
from notifier.storage.lines import ledger_begun_at, lock_ripe_accounts, open_lines, void_line
from notifier.storage.notices import account_state, certificate_states, operators_of, take_up
from notifier.storage.tables import mail
from notifier.worker.notices import line_void
from observability import get_logger

log = get_logger(__name__)

ACCOUNTS_AT_ONCE = 50
EVERY_S = 0.25

DUE = Gauge("mail_due", "Mails that are owed and not yet decided")
OLDEST = Gauge("mail_oldest_due_seconds", "Real seconds since the oldest mail that is not yet decided was taken up")


class TakingUp:
    """Takes up lines for the life of the process."""

    def __init__(self, sessions: Sessions, *, domain: str, clock: Clock, host: Clock, taken_up: Callable[[], None]) -> None:
        self._sessions, self._domain, self._clock, self._host, self._taken_up = sessions, domain, clock, host, taken_up

    async def run(self) -> None:
        """Looks for lines four times a second. Raises when the database is down."""
        while True:
            if await self.once() < ACCOUNTS_AT_ONCE:
                await asyncio.sleep(EVERY_S)

    async def once(self) -> int:
        """One look; answers how many accounts had something ripe."""
        host_now = self._host()
        async with self._sessions.begin() as session:
            accounts = await lock_ripe_accounts(session, host_now, limit=ACCOUNTS_AT_ONCE)
            for account_id in accounts:
                await self._account(session, account_id)
        async with self._sessions() as session:
            due, since = await backlog(session, mail)
        DUE.set(due)
        OLDEST.set(max(0.0, (host_now - since).total_seconds()) if since else 0.0)
        if accounts:
            self._taken_up()
        return len(accounts)

    async def _account(self, session: AsyncSession, account_id: UUID) -> None:
        """Decides the account's open lines that need wait no longer."""
        now, host_now = self._clock(), self._host()
        waiting = await open_lines(session, account_id)
        _, gone = await account_state(session, account_id)
        states = await certificate_states(session, {one.line.certificate_id for one in waiting})
        begun_at = await ledger_begun_at(session, now)
        held = []
        for one in waiting:
            reason = gone or line_void(one.line, states[one.line.certificate_id], now=now, begun_at=begun_at)
            if reason is None:
                held.append(one)
            else:
                await void_line(session, one.line_id, reason)
        to = recipients(await operators_of(session, account_id))
        for bundle in bundles(held, host_now):
            if not to:
                log.warning("nobody is mailed: the account has no active issuer operator", account_id=account_id)
            notice_id = await take_up(session, account_id, bundle, to, domain=self._domain, now=now, host_now=host_now)
            log.info("a notice was taken up", notice_id=notice_id, account_id=account_id, kind=bundle.kind, mails=len(to))
