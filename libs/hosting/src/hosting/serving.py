"""One process: migrations, HTTP ports (public, plain or TLS, and admin), background tasks, and a drain that loses nothing."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TypeVar

import uvicorn
import uvloop
from starlette.types import ASGIApp, Receive, Scope, Send

from hosting.clock import Clock
from hosting.database import migrate
from hosting.settings import ProcessSettings, Unusable
from hosting.tls import ShowsClientCertificate, TlsPort
from hosting.whole_answers import AnswersWhole
from observability import Health, get_logger, set_up
from observability.http import admin_app, public_health, traced

log = get_logger(__name__)
TSettings = TypeVar("TSettings", bound=ProcessSettings)
Work = Callable[[], Awaitable[None]]

DRAIN_S = 20  # for requests under way
STOP_S = 10  # for each background task and stop step


@dataclass
class App:
    """What a service's `build` puts together."""

    name: str
    routes: ASGIApp
    health: Health
    tls: TlsPort | None = None  # a public port over TLS
    strangers: bool = False  # whether others than our services call it
    plain: bool = True  # whether there is a public port without TLS
    background: list[Work] = field(default_factory=list)  # each runs for the life of the process
    on_start: list[Work] = field(default_factory=list)
    on_stop: list[Work] = field(default_factory=list)  # in reverse, after HTTP has drained


def run(
    build: Callable[[TSettings, Clock], App], settings: TSettings, clock: Clock, *, package: str | None, service: str
) -> None:
    """Runs the service until SIGTERM or SIGINT. `package` holds its migrations; None where there is no database."""
    set_up(service, settings.otlp_endpoint, settings.trace_share, settings.log_level)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_live(build, settings, clock, package))
    except Unusable as fault:
        sys.stderr.write(f"{fault}\n")
        sys.exit(2)


async def _live(build: Callable[[TSettings, Clock], App], settings: TSettings, clock: Clock, package: str | None) -> None:
    if package:
        await migrate(settings.database_url.get_secret_value(), package)
    app = build(settings, clock)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    for step in app.on_start:
        await step()
    admin = _server(admin_app(app.health), settings.listen_host, settings.admin_port)
    outside = _with_health(traced(app.routes, app.name, strangers=app.strangers), public_health(app.health))
    public = [_server(outside, settings.listen_host, settings.listen_port)] if app.plain else []
    if app.tls:
        public.append(_server(outside, settings.listen_host, app.tls.port, app.tls))
    servers = [asyncio.create_task(server.serve()) for server in (admin, *public)]
    background = [asyncio.create_task(_kept_up(work, stopping)) for work in app.background]
    log.info("started", service=app.name)
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait([stop, *servers], return_when=asyncio.FIRST_COMPLETED)
    stopping.set()
    await _drain(app, public, admin, servers, background)


async def _drain(
    app: App,
    public: list[uvicorn.Server],
    admin: uvicorn.Server,
    servers: list[asyncio.Task[None]],
    background: list[asyncio.Task[None]],
) -> None:
    """Readiness off, requests under way finish, then what was started stops in reverse."""
    app.health.draining()
    for server in public:
        server.should_exit = True
    await asyncio.wait(servers[1:], timeout=DRAIN_S)
    for step in reversed(app.on_stop):
        try:
            await asyncio.wait_for(step(), STOP_S)
        except Exception:
            log.exception("a stop step failed", step=getattr(step, "__qualname__", str(step)))
    for task in background:
        task.cancel()
    if background:
        await asyncio.wait(background, timeout=STOP_S)
    admin.should_exit = True
    await asyncio.wait(servers, timeout=STOP_S)
    log.info("stopped", service=app.name)


def _server(app: ASGIApp, host: str, port: int, tls: TlsPort | None = None) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # whose word on a client's address counts is for each service to judge
        lifespan="off",
        interface="asgi3",
        http=ShowsClientCertificate if tls else AnswersWhole,
        ssl_context_factory=(lambda _config, _default: tls.context) if tls else None,
        timeout_graceful_shutdown=DRAIN_S,
        timeout_keep_alive=30,
    )
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[assignment, method-assign] # signals are ours: the drain has an order
    return server


def _with_health(routes: ASGIApp, healths: ASGIApp) -> ASGIApp:
    """The public port answers the two health paths too, and nothing else of the admin port."""

    def app(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        health = scope["type"] == "http" and scope["path"] in {"/livez", "/readyz"}
        return (healths if health else routes)(scope, receive, send)

    return app


async def _kept_up(work: Work, stopping: asyncio.Event) -> None:
    """Runs background work; when it fails it is said and begun again, so that an outage heals by itself."""
    delay = 0.5
    while not stopping.is_set():
        begun = asyncio.get_running_loop().time()
        try:
            await work()
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("background work failed and begins again", work=getattr(work, "__qualname__", str(work)))
        else:
            return
        delay = 0.5 if asyncio.get_running_loop().time() - begun > 60 else min(delay * 2, 15)
        await asyncio.sleep(delay)
