"""Puts the mailbox together: HTTP and SMTP in one process, on one event loop."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette

from sandbox_mailbox.api import BadInput, routes, told
from sandbox_mailbox.mail import smtp_server, tls_context
from sandbox_mailbox.mishaps import Mishaps
from sandbox_mailbox.settings import Settings
from sandbox_mailbox.store import Clock, Store


def build(settings: Settings, clock: Clock) -> Starlette:
    """The application; the SMTP server lives as long as it does. State lies in `settings.state_dir`."""
    store = Store(settings.state_dir / "mailbox.sqlite", clock)
    mishaps = Mishaps()
    context = tls_context(settings)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: smtp_server(settings, store, mishaps, context), settings.listen_host, settings.smtp_port
        )
        yield
        mishaps.clear()
        server.close()
        store.close()

    return Starlette(routes=routes(settings, store, mishaps), lifespan=lifespan, exception_handlers={BadInput: told})
