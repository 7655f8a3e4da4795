"""The grant monitor, put together."""

from pathlib import Path

from grant_monitor.consumers import BATCH, GATHERS_MS, hear
from grant_monitor.patrol import Patrol
from grant_monitor.routes import internal_api
from grant_monitor.settings import Settings
from hosting import Clock
from hosting.database import answers, open_engine, sessions_of
from hosting.service_tokens import TokenVerifier
from hosting.serving import App
from messaging import Hearing, Relay
from observability import Health

SERVICE = "grant-monitor"


def build(settings: Settings, clock: Clock) -> App:
    """Everything the process is, with nothing started."""
    engine = open_engine(settings.database_url.get_secret_value())
    sessions = sessions_of(engine)
    verifier = TokenVerifier(SERVICE, Path(settings.service_keys), clock)
    hearing = Hearing(settings.kafka_bootstrap, service=SERVICE, prefix=settings.topic_prefix, gathers_ms=GATHERS_MS, batch=BATCH)
    hear(hearing, sessions, clock)
    relay = Relay(engine, settings.kafka_bootstrap, service=SERVICE, clock=clock, prefix=settings.topic_prefix)
    patrol = Patrol(sessions, clock)

    health = Health()
    health.check("database", answers(engine))
    health.check("bus", hearing.healthy)
    return App(
        name=SERVICE,
        routes=internal_api(sessions, clock, verifier),
        health=health,
        background=[hearing.run, relay.run, patrol.run, patrol.keep_told, patrol.keep_gauges, patrol.keep_purged],
        on_stop=[engine.dispose, relay.stop, hearing.stop],
    )
