"""The certificate registry, put together by hand."""

from hashlib import sha256

from certificate_registry.calendar import Calendar
from certificate_registry.client_ca import ClientCa, ClientCaUnusable
from certificate_registry.connector import Connector
from certificate_registry.consumers import consumers
from certificate_registry.handing_out import HandingOut
from certificate_registry.issuing import Issuer
from certificate_registry.notifier import Notifier
from certificate_registry.passwords import Passwords
from certificate_registry.posting import Post, Postman
from certificate_registry.reconcile import Reconcile
from certificate_registry.rounds import rounds
from certificate_registry.routes import Parts, http
from certificate_registry.sealing import Sealer
from certificate_registry.settings import Settings
from hosting import Clock
from hosting.calls import InternalCalls
from hosting.clock import host_utc
from hosting.database import answers, open_engine, sessions_of
from hosting.service_tokens import TokenIssuer
from hosting.serving import App, Work
from hosting.settings import Unusable
from messaging import Hearing, Relay
from observability import Health

SERVICE = "certificate-registry"
NOTIFIER_S = 5
CALL_S = 60  # a callback waits for the CA's own answers


def build(settings: Settings, clock: Clock) -> App:
    """Everything the process is made of."""
    engine = open_engine(settings.database_url.get_secret_value())
    sessions = sessions_of(engine)
    key = settings.service_key.get_secret_value()
    tokens = TokenIssuer(SERVICE, key, clock)
    calls = InternalCalls(settings.ca_connector_url, audience="ca-connector", issuer=tokens, timeout_s=CALL_S)
    connector = Connector(calls)
    ticket_key = sha256(b"ca-authorisation-tickets:" + key.encode()).digest()
    hearing = Hearing(settings.kafka_bootstrap, service=SERVICE, prefix=settings.topic_prefix)
    consumers(hearing, sessions, clock)
    relay = Relay(engine, settings.kafka_bootstrap, service=SERVICE, clock=clock, prefix=settings.topic_prefix)
    reconcile = Reconcile(sessions, connector, clock, ticket_key)

    health = Health()
    health.check("database", answers(engine))
    health.check("bus", hearing.healthy)
    client_ca = client_ca_of(settings)
    issuer = Issuer(client_ca, host_utc) if client_ca else None
    post = Post(Sealer(key.encode()), host_utc)
    handing_out = HandingOut(sessions, clock, issuer, post, settings.public_url) if issuer else None
    parts = Parts(sessions, clock, connector, Passwords(), settings.public_url, ticket_key, issues=issuer, invites=handing_out)
    background: list[Work] = [hearing.run, relay.run, rounds(reconcile.once, every_s=2)]
    on_stop: list[Work] = [engine.dispose, calls.close, relay.stop, hearing.stop]
    if settings.notifier_url:
        to_notifier = InternalCalls(settings.notifier_url, audience="notifier", issuer=tokens, timeout_s=NOTIFIER_S)
        postman = Postman(sessions, post, Notifier(to_notifier), clock)
        calendar = Calendar(sessions, post, clock, settings.public_url)
        background += [rounds(postman.once, every_s=0.5), rounds(calendar.once, every_s=2)]
        on_stop.append(to_notifier.close)
    return App(
        name=SERVICE,
        routes=http(parts),
        health=health,
        strangers=True,
        background=background,
        on_stop=on_stop,
    )


def client_ca_of(settings: Settings) -> ClientCa | None:
    """The authority for client certificates, where one is set up. Raises Unusable for one that is no use."""
    file, key, password = settings.client_ca_file, settings.client_ca_key, settings.client_ca_password
    if file is None or key is None or password is None:
        return None
    try:
        return ClientCa.load(key.get_secret_value(), password.get_secret_value(), file.read_bytes())
    except (OSError, ClientCaUnusable) as fault:
        raise Unusable(str(fault)) from None
