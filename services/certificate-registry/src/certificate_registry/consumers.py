"""What the registry hears: grants (which suspend), usage and notices (which it shows)."""

from certificate_registry.storage import grants, notices
from certificate_registry.storage.client_services import suspend_activated_before
from contracts import AccessGrant, NoticeFailed, NoticeSent, Usage
from hosting import Clock
from hosting.database import Sessions
from messaging import Heard, Hearing
from observability import get_logger

log = get_logger(__name__)


async def take_in_grant(sessions: Sessions, clock: Clock, grant: AccessGrant) -> None:
    """Keeps the newest word and suspends whoever was activated for an epoch that is over.

    Told twice, late or again from the beginning, it changes nothing more: an older version is passed over.
    """
    async with sessions.begin() as session:
        if not await grants.keep_grant(session, grant) or grant.last_expired is None:
            return
        count = await suspend_activated_before(session, grant.certificate_id, grant.last_expired.epoch, clock())
    if count:
        log.info("client services suspended", certificate_id=str(grant.certificate_id), count=count)


def consumers(hearing: Hearing, sessions: Sessions, clock: Clock) -> None:
    """Registers them all."""

    @hearing.hears(AccessGrant)
    async def on_access_grant(heard: Heard) -> None:
        assert isinstance(heard.event, AccessGrant)
        await take_in_grant(sessions, clock, heard.event)

    @hearing.hears(Usage)
    async def on_usage(heard: Heard) -> None:
        assert isinstance(heard.event, Usage)
        async with sessions.begin() as session:
            await grants.keep_usage(session, heard.event)

    @hearing.hears(NoticeSent, NoticeFailed)
    async def on_notice(heard: Heard) -> None:
        assert isinstance(heard.event, NoticeSent | NoticeFailed)
        async with sessions.begin() as session:
            await notices.keep(session, heard.event)
