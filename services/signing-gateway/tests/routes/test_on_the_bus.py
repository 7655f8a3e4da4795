"""The whole gateway as `app.build` puts it together, on a real broker."""

import asyncio
import json
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer

from contracts import SignatureApplied, decode
from hosting.database import migrate
from messaging import Teller
from messaging.testing import create_topics, delete_topics
from signing_gateway.app import build
from signing_gateway.settings import Settings

TOPICS = {"accounts", "certificates", "client-services", "access-grants", "signatures", "dead-letters.signing-gateway"}
DIGEST = b"\x01" * 32


@pytest.fixture
async def prefix(kafka_bootstrap):
    made = f"t{uuid4().hex[:8]}."
    await create_topics(kafka_bootstrap, made, TOPICS)
    yield made
    await delete_topics(kafka_bootstrap, made)


async def within(seconds, holds):
    """Waits until `holds()` answers something true, and answers it."""

    async def looked():
        while True:
            if found := await holds():
                return found
            await asyncio.sleep(0.05)

    return await asyncio.wait_for(looked(), seconds)


async def started(app, stack, listen):
    """Runs an `App` as hosting does; its address."""
    for step in app.on_start:
        await step()
    background = [asyncio.create_task(work()) for work in app.background]

    async def stop():
        for step in reversed(app.on_stop):
            await step()
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)

    stack.push_async_callback(stop)
    return await listen(app.routes, stack)


@pytest.fixture
async def settings(neighbours, prefix, kafka_bootstrap, fresh_database, pem, tmp_path):
    await migrate(fresh_database, "signing_gateway")
    (tmp_path / "keys.json").write_text(json.dumps({"keys": []}))
    return Settings(
        kafka_bootstrap=kafka_bootstrap,
        topic_prefix=prefix,
        database_url=fresh_database,
        service_key=pem(),
        service_keys=tmp_path / "keys.json",
        listen_port=1,
        admin_port=1,
        public_url="http://gateway.test",
        plain_http=True,
        client_certificates="optional",
        grant_monitor_url=neighbours.monitor_url,
        ca_connector_url=neighbours.connector_url,
        token_key=pem(),
    )


@pytest.mark.integration
async def test_a_signature_is_told_before_it_is_released_and_a_suspension_stops_the_next(a, neighbours, settings, listen):
    bed = neighbours
    kafka_bootstrap, prefix = settings.kafka_bootstrap, settings.topic_prefix
    async with AsyncExitStack() as stack:
        registry = Teller(kafka_bootstrap, service="certificate-registry", prefix=prefix)
        await registry.start()
        stack.push_async_callback(registry.stop)
        for event in (bed.account, bed.certificate, bed.service, a.grant(bed.certificate.certificate_id)):
            await registry.tell(event, at=bed.now)
        bed.url = await started(build(settings, lambda: bed.now), stack, listen)

        async def token():
            form = {"grant_type": "client_credentials", "client_id": bed.service.client_id, "client_secret": bed.secret}
            async with bed.http.post(bed.url + "/oauth2/token", data=form) as answer:
                return (await answer.json()).get("access_token")

        bed.token = await within(20, token)

        async def signed():
            return (await bed.sign(DIGEST))[0] == 200

        await within(20, signed)
        consumer = AIOKafkaConsumer(
            f"{prefix}signatures", bootstrap_servers=[kafka_bootstrap], auto_offset_reset="earliest", enable_auto_commit=False
        )
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        record = await asyncio.wait_for(consumer.getone(), 20)
        told = decode(record.value, record.headers, {SignatureApplied.type: SignatureApplied})
        assert record.key == str(bed.certificate.certificate_id).encode()
        assert (told.count, told.outcome, told.client_service_id) == (1, "applied", bed.service.client_service_id)

        inactive = {"version": 2, "status": "inactive", "reason": "operator"}
        await registry.tell(bed.service.model_copy(update=inactive), at=bed.now)

        async def refused():
            return (await bed.sign(DIGEST))[0] == 403

        await within(10, refused)
    assert not bed.ledger.open
    assert bed.ledger.settled == len(bed.authority.journal)
