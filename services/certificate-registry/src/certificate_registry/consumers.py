"""What the registry hears: grants (which suspend), usage and notices (which it shows)."""

from collections.abc import Sequence

from certificate_registry.storage import grants, notices
from certificate_registry.storage.client_services import suspend_activated_before
from contracts import AccessGrant, NoticeFailed, NoticeSent, Usage
from hosting import Clock
from hosting.database import Sessions
from messaging import Heard, Hearing
from observability import get_logger

log = get_logger(__name__)


async def take_in_grants(sessions: Sessions, clock: Clock, told: Sequence[AccessGrant]) -> None:
    """Keeps the newest word on each and suspends whoever was activated for an epoch that is over, in one transaction.

    Told twice, late or again from the beginning, it changes nothing more: an older version is passed over.
    """
    async with sessions.begin() as session:
        news = await grants.keep_grants(session, told)
        ended = {grant.certificate_id: grant.last_expired.epoch for grant in news if grant.last_expired is not None}
        suspended = await suspend_activated_before(session, ended, clock())
    if suspended:
        log.info("client services suspended", count=len(suspended), client_service_ids=[str(one) for one in suspended])


def consumers(hearing: Hearing, sessions: Sessions, clock: Clock) -> None:
    """Registers them all."""

    @hearing.hears_batch(AccessGrant)
    async def on_access_grants(batch: list[Heard]) -> None:
        await take_in_grants(sessions, clock, [heard.event for heard in batch])

    @hearing.hears_batch(Usage)
    async def on_usages(batch: list[Heard]) -> None:
        async with sessions.begin() as session:
            await grants.keep_usages(session, [heard.event for heard in batch])

    @hearing.hears(NoticeSent, NoticeFailed)
    async def on_notice(heard: Heard) -> None:
        assert isinstance(heard.event, NoticeSent | NoticeFailed)
        async with sessions.begin() as session:
            await notices.keep(session, heard.event)
