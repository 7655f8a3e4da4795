"""The signing gateway, put together in plain sight."""

import asyncio
import os
import socket
from datetime import timedelta
from uuid import uuid4

from hosting import Clock
from hosting.address import Allowed
from hosting.calls import InternalCalls
from hosting.database import answers, open_engine, sessions_of
from hosting.service_tokens import TokenIssuer
from hosting.serving import App
from messaging import StateTopics, Teller
from observability import Health
from signing_gateway.access_refusals import TooManyLoginsFailed
from signing_gateway.access_tokens import AccessTokens
from signing_gateway.asking import Asker
from signing_gateway.deferring import Deferring
from signing_gateway.documents import DocumentSigner
from signing_gateway.evidence import Evidences
from signing_gateway.outside import Outside
from signing_gateway.pdf_processes import PdfProcesses
from signing_gateway.projections import Known
from signing_gateway.rates import Rates
from signing_gateway.revoked import Revoked
from signing_gateway.routes import Access, Addresses, Documents, Door, FailedLogins, Once, Placing, api
from signing_gateway.settings import Settings
from signing_gateway.signing import CURRENT_WITHIN, Signer
from signing_gateway.storage.activations import Activations
from signing_gateway.storage.deferred import DeferredOrders
from signing_gateway.storage.keyed import KeyedRequests
from signing_gateway.storage.logins import Logins
from signing_gateway.storage.presence import Presence
from signing_gateway.storage.sweeping import Sweeper
from signing_gateway.timestamps import TimestampAuthority
from signing_gateway.tls_renewal import TlsRenewal

SERVICE = "signing-gateway"
MONITOR_S = 3.0  # an allowance is answered at once or not at all; the same ids are simply asked again
CONNECTOR_S = 30.0  # a certificate authority may be slow


def build(settings: Settings, clock: Clock) -> App:
    """One gateway process. Each is a holder of its own: allowances are never shared over processes or restarts."""
    engine = open_engine(settings.database_url.get_secret_value())
    issuer = TokenIssuer(SERVICE, settings.service_key.get_secret_value(), clock)
    monitor = InternalCalls(settings.grant_monitor_url, audience="grant-monitor", issuer=issuer, timeout_s=MONITOR_S)
    connector = InternalCalls(settings.ca_connector_url, audience="ca-connector", issuer=issuer, timeout_s=CONNECTOR_S)
    known = Known()
    topics = StateTopics(
        settings.kafka_bootstrap,
        service=SERVICE,
        apply=known.apply(),
        forget=known.forget(),
        prefix=settings.topic_prefix,
    )
    teller = Teller(settings.kafka_bootstrap, service=SERVICE, prefix=settings.topic_prefix)
    holder = f"{socket.gethostname()[:50]}.{os.getpid()}.{uuid4().hex[:12]}"
    asker = Asker(monitor, known.spendable_epoch, holder, draining=known.draining)
    signer = Signer(known=known, topics=topics, asker=asker, connector=connector, teller=teller, clock=clock)
    revoked = Revoked()
    tokens = AccessTokens(settings.token_key.get_secret_value(), settings.public_url, clock, revoked)
    access = Access(known, topics, tokens, Rates(settings.requests_per_minute), clock)

    presence, sessions = Presence(engine), sessions_of(engine)
    kept = timedelta(hours=settings.answers_kept_hours)
    once, activations = Once(KeyedRequests(sessions, presence), clock, kept=kept), Activations(sessions)
    orders = DeferredOrders(sessions, presence)
    placing = Placing(signer, once, activations, orders, clock, kept=kept)
    deferring = Deferring(orders, signer, clock)
    sweeper = Sweeper(sessions, clock)
    logins = Logins(sessions, revoked, clock)

    outside = Outside(Allowed.of(settings.embedded_ca_hosts))
    authority = TimestampAuthority(outside, settings.timestamp_url, settings.timestamp_roots())
    processes = PdfProcesses(settings.pdf_processes)
    documents = Documents(
        DocumentSigner(signer, authority, Evidences(outside), processes, clock),
        authority,
        max_body=settings.max_document_body,
        max_documents=settings.max_documents,
        share=settings.document_share,
    )

    async def current() -> None:
        if not topics.caught_up or topics.confirmed_age() > CURRENT_WITHIN:
            raise RuntimeError("the state topics are not confirmed current")

    async def revocations() -> None:
        if not revoked.current():
            raise RuntimeError("revocations are not confirmed current")

    async def close_calls() -> None:
        await asyncio.gather(monitor.close(), connector.close(), outside.close(), processes.close())

    health = Health()
    health.check("database", answers(engine))
    health.check("state topics", current)
    health.check("revocations", revocations)
    addresses = Addresses(settings.public_url, settings.others)
    failures = Rates(settings.failed_logins_per_minute, "failed-logins", refusal=TooManyLoginsFailed)
    routes = api(
        access,
        signer,
        placing,
        documents,
        logins,
        failed_logins=FailedLogins(failures, settings.proxies),
        addresses=addresses,
        max_hashes=settings.max_hashes,
    )
    required = settings.client_certificates == "required"
    tls = settings.tls()
    renewal = TlsRenewal(tls, settings.revocation_lists) if tls else None

    async def listed() -> None:
        if renewal and required and not renewal.complete:
            raise RuntimeError("a revocation list is missing")

    health.check("revocation lists", listed)
    return App(
        name=SERVICE,
        routes=Door(
            routes,
            proxies=settings.proxies,
            proxy_header=settings.proxy_header,
            required=required,
            plain=settings.plain_http,
        ),
        health=health,
        strangers=True,
        tls=tls,
        plain=settings.plain_http or bool(settings.proxies),
        background=[
            topics.run,
            asker.run,
            logins.run,
            presence.run,
            sweeper.run,
            deferring.run,
            *([renewal.run] if renewal else []),
        ],
        on_start=[teller.start],
        on_stop=[engine.dispose, close_calls, teller.stop, asker.close, deferring.close],
    )
