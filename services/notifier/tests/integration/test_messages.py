"""Personal messages by HTTP: queued once, sealed at rest, delivered, and then without a body."""

import json
from base64 import b64encode
from dataclasses import dataclass, field
from uuid import uuid4

import httpx2
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc.jwk import OKPKey
from sqlalchemy import select

from contracts import Warned
from hosting.service_tokens import TokenIssuer, TokenVerifier
from notifier.carriers.sms import SmsGateway
from notifier.mail import address
from notifier.routes import routes
from notifier.sealing import Sealer
from notifier.storage.tables import message
from notifier.worker.messages import PersonalMessages

pytestmark = pytest.mark.integration

MARK = "one-time-code-424242"
SERVICES = ("certificate-registry", "ca-connector", "signing-gateway")


@dataclass
class Phones:
    """An SMS gateway that keeps what it takes, or answers `status`."""

    url: str = ""
    status: int = 200
    taken: list[tuple[str, str]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer sms-secret"
        if self.status == 200:
            told = await request.json()
            self.taken.append((told["to"], told["text"]))
        return web.Response(status=self.status)


@pytest.fixture
async def phones():
    gateway = Phones()
    app = web.Application()
    app.router.add_post("/api/sms", gateway.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    gateway.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/sms"
    yield gateway
    await runner.cleanup()


@dataclass
class Door:
    """The HTTP side, with a token for every caller, and the worker behind it."""

    client: httpx2.AsyncClient
    issuers: dict[str, TokenIssuer]
    job: PersonalMessages

    async def call(self, method: str, path: str, by: str = "certificate-registry", **how) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.issuers[by].issue('notifier')}"}
        return await self.client.request(method, path, headers=headers, **how)

    async def post(self, body: dict, by: str = "certificate-registry") -> httpx2.Response:
        return await self.call("POST", "/internal/v1/messages", by, json=body)

    async def deliver(self) -> None:
        while claimed := await self.job.claim(10):
            for one in claimed:
                await self.job.record(one, await self.job.deliver(one))


@pytest.fixture
async def door(world, phones, tmp_path):
    encoding, container = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    made = {
        name: Ed25519PrivateKey.generate().private_bytes(encoding, container, serialization.NoEncryption()).decode()
        for name in SERVICES
    }
    public = [OKPKey.import_key(pem, {"kid": name}).as_dict(private=False) for name, pem in made.items()]
    (tmp_path / "keys.json").write_text(json.dumps({"keys": public}))
    sealer = Sealer(b64encode(bytes(32)).decode())
    verifier = TokenVerifier("notifier", tmp_path / "keys.json", world.clock)
    app = routes(world.sessions, verifier, sealer, host=world.host, queued=lambda: None)
    job = PersonalMessages(
        world.sessions,
        sealer,
        world.mail_server,
        SmsGateway(phones.url, "sms-secret"),
        sender=address("notices@sinete.example", "Sinete"),
        clock=world.clock,
        host=world.host,
    )
    issuers = {name: TokenIssuer(name, pem, world.clock) for name, pem in made.items()}
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://notifier") as client:
        yield Door(client, issuers, job)


def an_email(**changes: object) -> dict[str, object]:
    return {"id": str(uuid4()), "channel": "email", "to": "ana@exemplo.example", "subject": "Your link", "text": MARK} | changes


def an_sms(**changes: object) -> dict[str, object]:
    return {"id": str(uuid4()), "channel": "sms", "to": "+351910000001", "text": MARK} | changes


async def rows(world):
    async with world.sessions() as session:
        return (await session.execute(select(message))).all()


async def test_a_mail_is_queued_once_per_id_sealed_and_forgotten_after_delivery(world, door):
    body = an_email()
    first, again = await door.post(body), await door.post(body, by="ca-connector")
    assert (first.status_code, first.json()) == (202, {"id": body["id"], "status": "queued"})
    assert again.json() == first.json()
    [row] = await rows(world)
    assert MARK.encode() not in row.sealed
    assert b"ana@" not in row.sealed
    await door.deliver()
    [(to, mail)] = world.mailbox.mails
    assert (to, mail["Subject"], mail["Message-ID"]) == ("ana@exemplo.example", "Your link", f"<{body['id']}@sinete.example>")
    assert mail.get_content().strip() == MARK
    [row] = await rows(world)
    assert (row.status, row.sealed) == ("sent", None)
    assert (await door.post(body)).json()["status"] == "sent"
    await door.deliver()
    assert len(world.mailbox.mails) == 1


async def test_an_sms_is_put_off_while_the_gateway_is_busy_and_sent_when_it_is_not(world, door, phones):
    await door.post(an_sms())
    phones.status = 503
    await door.deliver()
    phones.status = 200
    world.host.move(seconds=1)
    await door.deliver()
    assert phones.taken == [("+351910000001", MARK)]


async def test_what_is_refused_for_good_has_no_body_either(world, door, phones):
    await door.post(an_sms())
    phones.status = 400
    await door.deliver()
    [row] = await rows(world)
    assert (row.status, row.sealed, row.reason) == ("failed", None, "the SMS gateway answered 400")


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (an_email(to="Ana <ana@exemplo.example>"), 422, "message-not-sendable"),
        (an_email(subject="Hello\r\nBcc: all@evil.example"), 422, "message-not-sendable"),
        (an_sms(to="call me"), 422, "message-not-sendable"),
        (an_email(channel="fax"), 422, "invalid-input"),
        (an_email(id="1"), 422, "invalid-input"),
        (an_email(text=["x", MARK]), 422, "invalid-input"),
        (an_email(colour="red"), 422, "invalid-input"),
        ({}, 422, "invalid-input"),
    ],
)
async def test_what_cannot_be_sent_is_refused_without_an_echo(world, door, body, status, kind):
    answer = await door.post(body)
    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[-1]) == (status, kind)
    assert MARK not in answer.text
    assert await rows(world) == []


async def test_only_the_services_that_need_it_may_call(door):
    assert (await door.post(an_email(), by="signing-gateway")).status_code == 403
    assert (await door.client.post("/internal/v1/messages", json=an_email())).status_code == 401
    assert (await door.call("GET", "/internal/v1/notices", by="ca-connector")).status_code == 403


async def test_failed_mails_can_be_listed_and_hold_no_address(world, door):
    certificate = await world.with_operators("Ana", "Rui")
    await world.hear(world.grant(certificate, warned=Warned(crossing_time=world.clock().date())))
    world.mailbox.script = lambda said, to: f"550 no {to} here" if said == "RCPT" else None
    await world.work()
    answer = await door.call("GET", "/internal/v1/notices?status=failed&page_size=1&page=2")
    page = answer.json()
    assert (page["page"], page["page_size"], page["total"], len(page["items"])) == (2, 1, 2, 1)
    [item] = page["items"]
    assert (item["kind"], item["certificate_ids"], item["reason"]) == ("crossing-time", [str(certificate)], "550 no … here")
    assert "@exemplo" not in answer.text
    assert (await door.call("GET", "/internal/v1/notices?status=lost")).status_code == 422
