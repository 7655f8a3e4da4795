"""The command `retell access-grants usage`: every state told again, for a lost topic or a consumer in doubt."""

import sys
from uuid import UUID

from grant_monitor.settings import Settings
from grant_monitor.storage import books_of
from grant_monitor.storage.due import grants_after
from grant_monitor.storage.usage import usage_after
from hosting import Clock, host_utc
from hosting.database import Sessions, open_engine, sessions_of
from messaging import retell as put_again

TOPICS = ("access-grants", "usage")
BEFORE_ALL = UUID(int=0)


async def retell(settings: Settings, clock: Clock, topics: list[str]) -> int:
    """Tells the named topics' states again, through the outbox; both where none is named. 2 for a topic not ours."""
    if unknown := set(topics) - set(TOPICS):
        sys.stderr.write(f"{', '.join(sorted(unknown))}: not told by the grant monitor; it tells {' and '.join(TOPICS)}\n")
        return 2
    engine = open_engine(settings.database_url.get_secret_value(), pool_size=1)
    try:
        sessions = sessions_of(engine)
        for topic in topics or TOPICS:
            told = await (retell_grants if topic == "access-grants" else retell_usage)(sessions, clock)
            sys.stdout.write(f"{topic}: {told} states will be told again\n")
    finally:
        await engine.dispose()
    return 0


async def retell_grants(sessions: Sessions, clock: Clock) -> int:
    """Every grant as it is now, under its next version: a consumer that has the last one takes this too."""
    told, last = 0, BEFORE_ALL
    while True:
        async with sessions.begin() as session:
            certificates = await grants_after(session, last)
            async with books_of(session, certificates, now=clock(), host_now=host_utc(), blocks=False) as books:
                for certificate_id in books.grants:
                    books.tell_again(certificate_id)
        if not certificates:
            return told
        told, last = told + len(certificates), max(certificates)


async def retell_usage(sessions: Sessions, clock: Clock) -> int:
    """Every client service's usage, likewise."""
    told, last = 0, BEFORE_ALL
    while True:
        async with sessions.begin() as session:
            usages = await usage_after(session, last, now=clock(), host_now=host_utc())
            await put_again(session, usages, clock())
        if not usages:
            return told
        told, last = told + len(usages), usages[-1].client_service_id
