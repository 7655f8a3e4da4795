"""A contact's walk to a client certificate, as a browser takes it: link, one-time password, file or request, and loss."""

import asyncio
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import pkcs12
from sqlalchemy import select

from certificate_registry.storage.client_certificate_tables import ClientCertificateRow, RetrievalRow
from certificate_registry.storage.tables import AccountRow, ClientServiceRow

pytestmark = pytest.mark.integration
CONTACT = {"contact_name": "Ana Sousa", "email": "ana@exemplo.example", "mobile": "+351910000001"}


@dataclass
class Contact:
    """A contact with a browser, a mailbox and a phone."""

    registry: Any
    phone: Any
    token: str
    order: dict[str, Any]
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return str(self.order["id"])

    async def mailed(self) -> None:
        await self.registry.postman.once()

    async def go(self, method: str, step: str = "", **more: Any) -> Any:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"Cookie": cookies, **more.pop("headers", {})}
        url = self.registry.url + self.phone.path("retrieval") + step
        async with self.registry.http.request(method, url, headers=headers, allow_redirects=False, **more) as answer:
            self.cookies |= {name: each.value for name, each in answer.cookies.items()}
            return answer.status, await answer.read(), answer.headers

    async def enter(self, password: str | None = None) -> Any:
        return await self.go("POST", "/password", data={"password": password or self.phone.password()})

    async def shown(self) -> dict[str, Any]:
        return dict((await self.registry.call("GET", f"client-certificates/{self.id}", self.token)).json)

    async def handed_out(self) -> None:
        """Waits until it is known that all of the file was sent; that is written after the last byte went."""
        for _ in range(100):
            if (await self.shown())["status"] == "issued":
                await self.mailed()
                return
            await asyncio.sleep(0.05)
        raise AssertionError((await self.kept()).handed_out)

    async def kept(self) -> RetrievalRow:
        async with self.registry.sessions() as session:
            return await session.get_one(RetrievalRow, self.order["id"])


@pytest.fixture
async def contact(registry: Any, phone: Any) -> Contact:
    account, token = await registry.issuer()
    certificate = await registry.certificate(account)
    made = await registry.call("POST", "client-services", token, {"certificate_id": str(certificate), "name": "ERP"})
    body = {"client_service_id": made.json["id"], "client_name": "e-banking", **CONTACT}
    order = await registry.call("POST", "client-certificates", token, body)
    assert order.status == 201, order.text
    invited = Contact(registry, phone, token, order.json)
    await invited.mailed()
    return invited


def wrong(password: str) -> str:
    return "000000" if password != "000000" else "000001"


async def test_the_file_is_fetched_then_its_password_comes_and_the_platform_keeps_neither(contact, phone, client_ca):
    assert len(phone.mails()) == 1
    assert len(phone.sms()) == 1
    assert (await contact.enter())[0] == 303
    status, file, headers = await contact.go("GET", "/file")
    assert (status, headers["Content-Disposition"]) == (200, 'attachment; filename="e-banking.p12"')
    await contact.handed_out()
    (password,) = re.findall(r"(?:[a-z0-9]{5}-){3}[a-z0-9]{5}", phone.sms()[-1])
    key, certificate, (above,) = pkcs12.load_key_and_certificates(file, password.encode())
    assert certificate.public_key() == key.public_key()
    assert above == client_ca.ca.chain[0]
    shown = await contact.shown()
    assert (shown["status"], shown["issued_by"]) == ("issued", "download")
    assert shown["sha256"] == certificate.fingerprint(SHA256()).hex()
    async with contact.registry.sessions() as session:
        service = await session.get_one(ClientServiceRow, contact.order["client_service_id"])
    assert [each["sha256"] for each in service.client_certificates] == [shown["sha256"]]
    assert (await contact.go("GET", "/file"))[0] == 403
    kept = await contact.kept()
    assert (kept.file, kept.password_digest, kept.session_digest) == (None, None, None)
    assert b"was handed out" in (await contact.go("GET"))[1]


async def test_opening_the_link_or_the_loss_link_changes_nothing(contact, phone):
    before = await contact.shown()
    for _ in range(3):
        assert (await contact.go("GET"))[0] == 200
        assert (await contact.registry.call("GET", phone.path("loss"))).status == 200
    assert (await contact.go("GET", "/file"))[0] == 403
    await contact.mailed()
    assert await contact.shown() == before
    assert len(phone.sms()) == 1


async def test_of_fifty_wrong_passwords_at_once_exactly_five_are_compared(contact):
    answers = await asyncio.gather(*(contact.enter(wrong(contact.phone.password())) for _ in range(50)))
    compared = [body for _, body, _ in answers if b"not the password of the newest SMS" in body]
    assert {status for status, _, _ in answers} == {422}
    assert len(compared) == 5
    assert (await contact.enter())[0] == 422  # the right one comes too late
    assert (await contact.kept()).attempts_left == 0


async def test_of_twenty_right_ones_at_once_one_is_admitted(contact):
    password = contact.phone.password()
    answers = await asyncio.gather(*(contact.enter(password) for _ in range(20)))
    assert sorted({status for status, _, _ in answers}) == [303, 422]
    assert [status for status, _, _ in answers].count(303) == 1
    assert (await contact.enter(password))[0] == 422


async def test_a_password_holds_for_thirty_minutes_and_a_new_one_can_be_asked_for(contact, phone):
    contact.registry.clock.now += timedelta(minutes=30)
    assert (await contact.enter())[0] == 422
    assert (await contact.go("POST", "/new-password"))[0] == 200
    await contact.mailed()
    assert len(phone.sms()) == 2
    contact.registry.clock.now += timedelta(minutes=29)
    assert (await contact.enter())[0] == 303


async def test_no_more_than_four_passwords_are_sent_and_only_the_newest_holds(contact, phone):
    first = phone.password()
    for _ in range(3):
        assert (await contact.go("POST", "/new-password"))[0] == 200
    status, body, _ = await contact.go("POST", "/new-password")
    assert (status, b"No more passwords" in body) == (409, True)
    await contact.mailed()
    assert len(phone.sms()) == 4
    if first != phone.password():
        assert (await contact.enter(first))[0] == 422
    assert (await contact.enter())[0] == 303


async def test_the_file_can_be_fetched_in_parts_and_its_password_waits_for_the_last(contact, phone):
    await contact.enter()
    _, head, headers = await contact.go("GET", "/file", headers={"Range": "bytes=0-499"})
    size = int(headers["Content-Range"].partition("/")[2])
    assert len(head) == 500
    again = {"If-Range": headers["ETag"]}
    status, middle, _ = await contact.go("GET", "/file", headers={"Range": "bytes=500-999", **again})
    assert (status, len(middle)) == (206, 500)
    await asyncio.sleep(1)  # as long as it takes to see that nothing comes
    await contact.mailed()
    assert len(phone.sms()) == 1
    assert (await contact.shown())["status"] == "ordered"
    status, tail, _ = await contact.go("GET", "/file", headers={"Range": "bytes=1000-", **again})
    assert (status, len(tail)) == (206, size - 1000)
    await contact.handed_out()
    pkcs12.load_key_and_certificates(head + middle + tail, phone.sms()[-1].split()[1].encode())


async def test_a_download_that_is_cut_is_not_complete_and_is_resumed_where_it_stopped(contact, phone):
    await contact.enter()
    first = await cut(contact, after=400)
    await asyncio.sleep(1)  # as long as it takes to see that nothing comes
    await contact.mailed()
    assert len(phone.sms()) == 1
    assert (await contact.shown())["status"] == "ordered"
    status, rest, _ = await contact.go("GET", "/file", headers={"Range": f"bytes={len(first)}-"})
    assert status == 206
    await contact.handed_out()
    pkcs12.load_key_and_certificates(first + rest, phone.sms()[-1].split()[1].encode())


async def cut(contact: Contact, after: int) -> bytes:
    """The first bytes of the file, of a connection that is closed then."""
    at = urlsplit(contact.registry.url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    cookies = "; ".join(f"{name}={value}" for name, value in contact.cookies.items())
    path = contact.phone.path("retrieval")
    writer.write(f"GET {path}/file HTTP/1.1\r\nHost: {at.netloc}\r\nCookie: {cookies}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    first = await reader.readexactly(after)
    writer.close()
    return first


async def test_what_lies_outside_the_file_is_refused_and_a_head_hands_nothing_out(contact, phone):
    await contact.enter()
    status, _, headers = await contact.go("GET", "/file", headers={"Range": "bytes=999999-"})
    assert (status, headers["Content-Range"].startswith("bytes */")) == (416, True)
    await contact.go("HEAD", "/file")
    await contact.mailed()
    assert len(phone.sms()) == 1


async def test_two_browsers_never_make_one_download(contact, phone):
    await contact.enter()
    _, _, headers = await contact.go("GET", "/file", headers={"Range": "bytes=0-999"})
    other = Contact(contact.registry, phone, contact.token, contact.order)
    assert (await other.go("GET", "/file"))[0] == 403
    await other.go("POST", "/new-password")
    await contact.mailed()
    await other.enter()
    assert (await contact.go("GET", "/file"))[0] == 403
    status, file, again = await other.go("GET", "/file", headers={"Range": "bytes=1000-"})
    assert (status, again["ETag"]) == (200, headers["ETag"])  # the whole, since nothing before it came to this browser
    await other.handed_out()
    pkcs12.load_key_and_certificates(file, phone.sms()[-1].split()[1].encode())


async def test_a_file_nobody_finished_is_forgotten_and_the_order_stays_open(contact, phone):
    await contact.enter()
    _, _, headers = await contact.go("GET", "/file", headers={"Range": "bytes=0-99"})
    assert (await contact.kept()).file is not None
    contact.registry.clock.now += timedelta(minutes=30)
    await contact.registry.calendar.once()
    assert (await contact.kept()).file is None
    assert (await contact.go("GET", "/file"))[0] == 403
    await contact.go("POST", "/new-password")
    await contact.mailed()
    await contact.enter()
    _, file, again = await contact.go("GET", "/file")
    assert again["ETag"] != headers["ETag"]
    await contact.handed_out()
    pkcs12.load_key_and_certificates(file, phone.sms()[-1].split()[1].encode())


async def known_contact(contact):
    shown = await contact.shown()
    return {name: shown[name] for name in CONTACT}


UNKNOWN = dict.fromkeys(CONTACT)


async def test_a_contact_who_did_not_come_is_forgotten_when_the_link_is_over(contact):
    start = contact.registry.clock.now
    contact.registry.clock.now = start + timedelta(days=7) - timedelta(microseconds=1)
    await contact.registry.calendar.once()
    assert await known_contact(contact) == CONTACT
    contact.registry.clock.now = start + timedelta(days=7, minutes=1)
    await contact.registry.calendar.once()
    assert await known_contact(contact) == UNKNOWN
    assert (await contact.shown())["status"] == "ordered"


async def test_a_contact_in_the_middle_of_a_download_is_known_until_that_is_given_up(contact):
    contact.registry.clock.now += timedelta(days=7, minutes=-1)
    await contact.go("POST", "/new-password")
    await contact.mailed()
    await contact.enter()
    await contact.go("GET", "/file", headers={"Range": "bytes=0-99"})
    for minutes, known in ((2, CONTACT), (30, UNKNOWN)):
        contact.registry.clock.now += timedelta(minutes=minutes)
        await contact.registry.calendar.once()
        assert await known_contact(contact) == known


@pytest.mark.parametrize("until", ["withdrawal", "end"])
async def test_the_contact_of_a_certificate_is_known_until_it_is_over(contact, phone, until):
    await contact.enter()
    await contact.go("GET", "/file")
    await contact.handed_out()
    end = datetime.fromisoformat((await contact.shown())["valid_until"])
    await contact.registry.calendar.once()
    assert await known_contact(contact) == CONTACT
    if until == "withdrawal":
        await contact.registry.call("POST", f"client-certificates/{contact.id}/withdrawal", contact.token, {"reason": "lost"})
    else:
        contact.registry.clock.now = end
        await contact.registry.calendar.once()
    assert await known_contact(contact) == UNKNOWN


async def test_with_a_request_the_key_never_travels(contact, phone, make):
    key = ec.generate_private_key(ec.SECP256R1())
    assert (await contact.go("POST", "/request", data={"csr": make.request(key)}))[0] == 403
    await contact.enter()
    assert (await contact.go("POST", "/request", data={"csr": make.request(key).replace("\n", "\r\n")}))[0] == 303
    _, pem, _ = await contact.go("GET", "/certificate.pem")
    assert x509.load_pem_x509_certificates(pem)[0].public_key() == key.public_key()
    assert (await contact.go("GET", "/certificate.p7b"))[0] == 200
    assert (await contact.go("GET", "/file"))[0] == 403
    assert (await contact.shown())["issued_by"] == "request"
    await contact.mailed()
    assert len(phone.sms()) == 1


async def test_a_request_that_does_not_do_is_answered_with_what_is_wrong_and_never_shown(contact):
    await contact.enter()
    sent = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----"
    status, body, _ = await contact.go("POST", "/request", data={"csr": sent})
    assert status == 422
    assert b"it is a private key" in body
    assert b"c2VjcmV0" not in body


async def test_a_reported_loss_blocks_at_once_and_for_good(contact, phone, client_ca):
    await contact.enter()
    await contact.go("GET", "/file")
    await contact.handed_out()
    lost = phone.path("loss")
    for _ in range(2):
        answer = await contact.registry.call("POST", lost)
        assert (answer.status, "is blocked" in answer.text) == (200, True)
        await contact.mailed()
    assert [mail["subject"] for mail in phone.mails()[1:]] == ["Client certificate “e-banking” was reported as lost"]
    shown = await contact.shown()
    assert (shown["status"], shown["withdrawn_by"]) == ("withdrawn", "contact")
    async with contact.registry.sessions() as session:
        service = await session.get_one(ClientServiceRow, contact.order["client_service_id"])
    assert service.client_certificates == []
    async with contact.registry.http.get(f"{contact.registry.url}/client-certificates/ca.crl") as answer:
        crl = x509.load_der_x509_crl(await answer.read())
    entry = crl.get_revoked_certificate_by_serial_number(int(shown["serial_number"], 16))
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason == x509.ReasonFlags.key_compromise


async def test_a_loss_reported_before_the_file_was_fetched_closes_the_order(contact, phone):
    await contact.enter()
    await contact.go("GET", "/file", headers={"Range": "bytes=0-99"})
    assert (await contact.registry.call("POST", phone.path("loss"))).status == 200
    assert (await contact.kept()).file is None
    assert (await contact.go("GET", "/file"))[0] == 403
    assert b"is blocked" in (await contact.go("GET"))[1]


async def test_nothing_is_handed_out_for_a_suspended_account(contact):
    async with contact.registry.sessions.begin() as session:
        account = await session.get_one(AccountRow, contact.order["account_id"])
        account.status = "suspended"
    assert (await contact.enter())[0] == 409
    assert (await contact.go("POST", "/new-password"))[0] == 409


async def test_a_link_that_is_over_or_made_up_is_a_page_that_says_so(contact):
    status = (await contact.registry.call("GET", "/client-certificates/retrieval/made-up")).status
    assert status == 404
    assert (await contact.registry.call("POST", "/client-certificates/loss/made-up")).status == 404
    contact.registry.clock.now += timedelta(days=7)
    assert (await contact.go("GET"))[0] == 404


async def test_no_secret_lies_in_the_tables(contact, phone):
    await contact.enter()
    await contact.go("GET", "/file", headers={"Range": "bytes=0-99"})
    await contact.go("POST", "/new-password")
    link, loss = (phone.path(kind).rpartition("/")[2] for kind in ("retrieval", "loss"))
    async with contact.registry.sessions() as session:
        rows = [
            *(await session.scalars(select(RetrievalRow))).all(),
            *(await session.scalars(select(ClientCertificateRow))).all(),
        ]
        text = "\n".join(str(vars(row)) for row in rows)
    assert not [secret for secret in (link, loss, phone.password(), *contact.cookies.values()) if secret in text]


async def test_a_form_of_another_shape_is_a_wrong_password_and_no_fault(contact):
    for data in (b"", b"\xff\xfe", b"a=1&" * 50, b"password"):
        status, _, _ = await contact.go("POST", "/password", data=data)
        assert status == 422
