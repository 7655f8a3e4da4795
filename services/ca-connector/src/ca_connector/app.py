"""The CA connector, put together."""

from ca_connector.calling import Calls
from ca_connector.chores import Chores
from ca_connector.consumers import hear
from ca_connector.dialog import Dialog
from ca_connector.fence import Fence
from ca_connector.oauth import OAuth
from ca_connector.outbound import Outbound
from ca_connector.parts import Parts
from ca_connector.routes import internal_api
from ca_connector.sealing import Sealer
from ca_connector.settings import Settings
from ca_connector.signing import Signing
from ca_connector.tokens import AccessTokens
from ca_connector.walking import Walking
from hosting import Clock
from hosting.address import Allowed
from hosting.database import answers, open_engine, sessions_of
from hosting.service_tokens import TokenVerifier
from hosting.serving import App
from messaging import Hearing, Relay
from observability import Health

SERVICE = "ca-connector"


def build(settings: Settings, clock: Clock) -> App:
    """Everything the process is, with nothing started."""
    engine = open_engine(settings.database_url.get_secret_value(), pool_size=20)
    outbound = Outbound(Allowed.of(settings.embedded_ca_hosts), settings.ca_timeout_s)
    sealer = Sealer(settings.master_key.get_secret_value())
    parts = Parts(sessions_of(engine), clock, sealer, outbound, OAuth(outbound, settings.callback_url))
    tokens = AccessTokens(parts)
    walking = Walking(parts, tokens)
    fence = Fence(engine, parts)
    signing = Signing(fence, Calls(parts, tokens, fence), calls_per_lane=settings.ca_calls_per_certificate)
    verifier = TokenVerifier(SERVICE, settings.service_keys, clock)
    hearing = Hearing(settings.kafka_bootstrap, service=SERVICE, prefix=settings.topic_prefix)
    hear(hearing, parts)
    relay = Relay(engine, settings.kafka_bootstrap, service=SERVICE, clock=clock, prefix=settings.topic_prefix)

    health = Health()
    health.check("database", answers(engine))
    health.check("bus", hearing.healthy)
    return App(
        name=SERVICE,
        routes=internal_api(parts, verifier, walking, Dialog(walking, tokens), signing),
        health=health,
        background=[hearing.run, relay.run, Chores(parts).run],
        on_stop=[engine.dispose, outbound.close, signing.close, hearing.stop],
    )
