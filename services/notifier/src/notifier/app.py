"""The notifier, put together."""

from hosting import Clock, host_utc
from hosting.database import answers, open_engine, sessions_of
from hosting.service_tokens import TokenVerifier
from hosting.serving import App
from messaging import Hearing, Relay
from notifier.carriers.sms import SmsGateway
from notifier.carriers.smtp import MailServer
from notifier.consumers import listen
from notifier.letter import Letters
from notifier.mail import sender_of
from notifier.routes import routes
from notifier.sealing import Sealer
from notifier.settings import Settings
from notifier.storage.lines import ledger_begun_at
from notifier.worker.delivering import Deliveries
from notifier.worker.messages import PersonalMessages
from notifier.worker.notices import NoticeMails
from notifier.worker.taking_up import TakingUp
from observability import Health

SERVICE = "notifier"


def build(settings: Settings, clock: Clock) -> App:
    """The whole process. Readiness needs the database and the bus, never the mail server: mails wait for that one."""
    engine = open_engine(settings.database_url.get_secret_value())
    sessions = sessions_of(engine)
    sender = sender_of(settings.mail_from)
    sealer = Sealer(settings.master_key.get_secret_value())
    mail_server = MailServer(
        host=settings.smtp_host,
        port=settings.smtp_port,
        username=settings.smtp_username,
        password=settings.smtp_password.get_secret_value(),
        ca_file=settings.smtp_ca_file,
        sender=sender,
    )
    sms = SmsGateway(settings.sms_url, settings.sms_token.get_secret_value())

    notices = Deliveries(
        NoticeMails(sessions, Letters(settings.back_office_url), mail_server, sender=sender, clock=clock, host=host_utc)
    )
    messages = Deliveries(PersonalMessages(sessions, sealer, mail_server, sms, sender=sender, clock=clock, host=host_utc))
    taking_up = TakingUp(sessions, domain=sender.domain, clock=clock, host=host_utc, taken_up=notices.poke)
    relay = Relay(engine, settings.kafka_bootstrap, service=SERVICE, clock=clock, prefix=settings.topic_prefix)
    hearing = Hearing(settings.kafka_bootstrap, service=SERVICE, prefix=settings.topic_prefix)
    listen(hearing, sessions, clock=clock, host=host_utc)
    verifier = TokenVerifier(SERVICE, settings.service_keys, clock)

    async def begin_ledger() -> None:
        async with sessions.begin() as session:
            await ledger_begun_at(session, clock())

    health = Health()
    health.check("database", answers(engine))
    health.check("bus", hearing.healthy)
    return App(
        name=SERVICE,
        routes=routes(sessions, verifier, sealer, host=host_utc, queued=messages.poke),
        health=health,
        background=[relay.run, hearing.run, taking_up.run, notices.run, messages.run],
        on_start=[begin_ledger],
        on_stop=[engine.dispose, relay.stop, notices.stop, messages.stop, hearing.stop],
    )
