"""What the notifier hears. Each handler writes our own tables only; told twice, late or again, it changes nothing more."""

from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncSession

from contracts import AccessGrant, Account, Certificate, ClientService, Operator, UnreadableEvent
from hosting import Clock
from hosting.database import Sessions
from messaging import Heard, Hearing
from notifier.notice import lines_of, void_reason
from notifier.storage.lines import add_line, ledger_begun_at, unheard
from notifier.storage.projections import keep_account, keep_certificate, keep_client_service, keep_grant, keep_operator
from observability import get_logger

log = get_logger(__name__)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # names no zone, is no name, names a folder
        raise UnreadableEvent("zone: not an IANA time zone") from None


async def hear_grant(session: AsyncSession, told: AccessGrant, *, clock: Clock, host: Clock) -> None:
    """Keeps the grant's state and writes each line it makes due that is not written yet, void at once where it must be."""
    _zone(told.zone)
    now = clock()
    newest = await keep_grant(session, told)
    begun_at = await ledger_begun_at(session, now)
    for line in await unheard(session, lines_of(told)):
        void = void_reason(line, newest, now=now, begun_at=begun_at)
        await add_line(session, line, heard_at=host(), void=void)
        log.info("a line is due", certificate_id=line.certificate_id, epoch=line.epoch, kind=line.kind, void=void)


async def hear_account(session: AsyncSession, told: Account) -> None:
    """Keeps the account's state."""
    _zone(told.zone)
    await keep_account(session, told)


def listen(hearing: Hearing, sessions: Sessions, *, clock: Clock, host: Clock) -> None:
    """Registers what is heard. A tombstone follows a state without personal data, so there is nothing left to do for it."""

    @hearing.hears(AccessGrant)
    async def on_grant(told: Heard) -> None:
        assert isinstance(told.event, AccessGrant)
        async with sessions.begin() as session:
            await hear_grant(session, told.event, clock=clock, host=host)

    @hearing.hears(Account)
    async def on_account(told: Heard) -> None:
        assert isinstance(told.event, Account)
        async with sessions.begin() as session:
            await hear_account(session, told.event)

    @hearing.hears(Operator)
    async def on_operator(told: Heard) -> None:
        assert isinstance(told.event, Operator)
        async with sessions.begin() as session:
            await keep_operator(session, told.event)

    @hearing.hears(Certificate)
    async def on_certificate(told: Heard) -> None:
        assert isinstance(told.event, Certificate)
        async with sessions.begin() as session:
            await keep_certificate(session, told.event)

    @hearing.hears(ClientService)
    async def on_client_service(told: Heard) -> None:
        assert isinstance(told.event, ClientService)
        async with sessions.begin() as session:
            await keep_client_service(session, told.event)
