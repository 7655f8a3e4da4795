"""The canary (control 38): the whole flow with every log at DEBUG, right codes and wrong ones; then no secret is anywhere."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs12

from embedded.platform_api import until
from embedded.searching import finds, known_to_ca, written
from embedded.stack import Client, Stack, some_hashes
from embedded.walk import Browser, newest_otp, sms_count
from hosting.service_tokens import TokenIssuer

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
PORT_BASE = 17_600
LOG_LEVEL = "DEBUG"
PERSONAL = "canary-in-a-personal-message"
CONTACT = "canary@exemplo.example"
PRIVATE_KEY = "-----BEGIN PRIVATE KEY-----\ncanary-private-key\n-----END PRIVATE KEY-----"


class Seen:
    """What the outside was told and gave: answers to search, and the secrets that passed by."""

    def __init__(self, stack: Stack) -> None:
        self.stack, self.answers, self.secrets = stack, list[tuple[str, str]](), dict[str, str]()
        self.mailbox = stack.status["mailbox"]["url"]

    async def call(self, method: str, path: str, body: Any = None, *, data: bytes | None = None, token: str = "") -> Any:
        """A call of the issuer's, whatever it answers."""
        headers = {
            "Authorization": f"Bearer {token or self.stack.demo['operator_api_token']}",
            "Content-Type": "application/json",
        }
        url = f"{self.stack.url('certificate-registry')}/api/v1/{path}"
        sent = json.dumps(body).encode() if data is None else data
        async with aiohttp.ClientSession(headers=headers) as session, session.request(method, url, data=sent) as answer:
            text = await answer.text()
        told = json.loads(text) if text else {}
        shown_once = {name: told[name] for name in ("token", "client_secret") if isinstance(told, dict) and name in told}
        self.secrets |= {f"{name} of {path}": value for name, value in shown_once.items()}
        if not shown_once:
            self.answers.append((f"answer to {method} {path.partition('?')[0]}", text))
        return told

    async def new_otp(self, before: int) -> tuple[str, str]:
        """The newest code, and one that is wrong."""
        otp = await newest_otp(self.mailbox, after=before)
        wrong = f"{(int(otp) + 123_457) % 1_000_000:06d}"
        self.secrets |= {f"OTP {otp[:2]}…": otp, f"wrong OTP {wrong[:2]}…": wrong}
        return otp, wrong

    async def through_ca(self, authorization_url: str) -> None:
        """CA A's pages, with a wrong password, a wrong code and a wrong PIN before the right ones."""
        user, browser = self.stack.ca_user, Browser()
        async with browser:
            self.secrets["ticket " + authorization_url[-4:]] = authorization_url.rpartition("/")[2]
            page = await browser.open(authorization_url)
            page = await browser.submit(page, {"username": user.username, "password": "canary-wrong-password"})
            page = await browser.submit(page, {"username": user.username, "password": user.password})
            before = await sms_count(self.mailbox)
            page = await browser.submit(page, {})
            otp, wrong = await self.new_otp(before)
            page = await browser.submit(page, {"otp": wrong, "pin": user.pin})
            before = await sms_count(self.mailbox)
            page = await browser.submit(page, {"otp": otp, "pin": "864209"})
            otp, _ = await self.new_otp(before)
            page = await browser.submit(page, {"otp": otp, "pin": user.pin})
            self.answers.append(("outcome page", page.text))
            brought = dict(parse_qsl(urlsplit(page.url).query))
            assert {"code", "state", "iss"} <= set(brought), page.text
            self.secrets |= {f"{name} {page.url[-4:]}": brought[name] for name in ("code", "state")}
            self.answers.append(("page of a replay", (await browser.open(page.url)).text))


@pytest.fixture(scope="module")
def seen(stack: Stack) -> Seen:
    """What passes by in this module."""
    return Seen(stack)


async def test_registration_and_renewal_at_ca_a(seen: Seen):
    choices = await seen.call("GET", "certificate-authorities/choices")
    ca = next(each["id"] for each in choices if each["name"] == "Sandbox CA A")
    begun = await seen.stack.issuer.post("certificates", {"alias": "Canary", "certificate_authority_id": ca})
    await seen.through_ca(begun["authorization_url"])
    registration = f"registrations/{begun['registration_id']}"
    chosen = await seen.call("POST", f"{registration}/credential", {"credential_id": "A-SEAL-3"})
    assert chosen["status"] == "completed", chosen
    renewal = await seen.stack.issuer.post(f"certificates/{seen.stack.demo['certificate_id']}/renewals")
    await seen.through_ca(renewal["authorization_url"])
    assert (await seen.call("GET", f"renewals/{renewal['id']}"))["status"] == "completed"


async def test_codes_by_api(seen: Seen):
    certificate = (await seen.call("GET", "certificates?alias=Contracts"))["items"][0]["id"]
    before = await sms_count(seen.mailbox)
    renewal = await seen.call("POST", f"certificates/{certificate}/renewals", {})
    answer, pin = f"renewals/{renewal['id']}/authorisation", seen.stack.ca_user.pin
    otp, wrong = await seen.new_otp(before)
    for body in (
        {"otp": wrong, "pin": pin},
        {"otp": otp, "pin": "864209"},
        {"otp": int(otp), "pin": [pin]},
        {"otp": otp, "puk": pin},
    ):
        await seen.call("POST", answer, body)
    await seen.call("POST", answer, data=f'{{"otp": "{otp}", "pin": "{pin}"'.encode())
    await seen.call("POST", f"{answer}?otp={otp}&pin={pin}", {"otp": otp * 20, "pin": pin})
    before = await sms_count(seen.mailbox)
    await seen.call("POST", f"renewals/{renewal['id']}/challenge", {})
    otp, _ = await seen.new_otp(before)
    assert (await seen.call("POST", answer, {"otp": otp, "pin": pin}))["status"] == "completed"


async def test_passwords_tokens_and_client_secrets(seen: Seen):
    demo, gateway = seen.stack.demo, seen.stack.url("signing-gateway")
    operator = demo["operator"]
    assert (await seen.call("POST", "tokens", operator))["token"]
    for password in ("canary-wrong-password", ["canary-wrong-password"]):
        await seen.call("POST", "tokens", {**operator, "password": password})
    await seen.call("GET", "certificates", token="canary-wrong-token")
    made = await seen.call("POST", "client-services", {"certificate_id": demo["certificate_id"], "name": "Canary"})
    rotated = await seen.call("POST", f"client-services/{made['id']}/secret")
    await seen.call("POST", "certificate-authorities", {"name": "x", "client_secret": {"canary": "canary-client-secret"}})
    client = Client(gateway, {**made, "client_secret": rotated["client_secret"]})

    async def signed() -> bool:
        async with aiohttp.ClientSession() as session:
            for secret in (made["client_secret"], "canary-client-secret"):
                basic = {"Authorization": aiohttp.encode_basic_auth(made["client_id"], secret)}
                async with session.post(
                    f"{gateway}/oauth2/token", data={"grant_type": "client_credentials"}, headers=basic
                ) as refused:
                    seen.answers.append(("answer of /oauth2/token", await refused.text()))
        try:
            return bool(await client.sign_at_last(demo["certificate_id"], some_hashes(3)))
        except aiohttp.ClientResponseError:  # the new secret is on its way
            return False

    await until(signed, what="a signature with the new secret", every_s=0.5)
    client.token = "canary-wrong-token"
    seen.answers.append(("answer of signHash", str(await client.sign(demo["certificate_id"], some_hashes(1)))))


async def test_a_personal_message(seen: Seen):
    key = (seen.stack.state / "secrets" / "certificate-registry" / "service_key").read_text()
    bearer = {"Authorization": f"Bearer {TokenIssuer('certificate-registry', key, lambda: seen.stack.now).issue('notifier')}"}
    told = {"id": str(uuid4()), "channel": "email", "to": "ana.sousa@exemplo.example", "text": PERSONAL}
    async with aiohttp.ClientSession(headers=bearer) as session:
        for body in (told, {**told, "id": str(uuid4()), "channel": "sms"}, {**told, "html": [PERSONAL]}):
            async with session.post(f"{seen.stack.url('notifier')}/internal/v1/messages", json=body) as answer:
                seen.answers.append((f"answer {answer.status} to a message", await answer.text()))

    async def delivered() -> bool:
        return any(PERSONAL in mail["text"] for mail in await seen.stack.mails("ana.sousa@exemplo.example"))

    await until(delivered, what="the message")


async def test_a_client_certificate_is_fetched(seen: Seen):
    before = await sms_count(seen.mailbox)
    contact = {"contact_name": "Canary", "email": CONTACT, "mobile": "+351910000009"}
    service = seen.stack.demo["client_service"]["id"]
    order = await seen.call("POST", "client-certificates", {"client_service_id": service, "client_name": "canary", **contact})

    async def mailed() -> list[dict[str, Any]]:
        return await seen.stack.mails(CONTACT)

    mail = (await until(mailed, what="the link"))[0]["text"]
    links = {kind: str(re.findall(rf"http\S+/client-certificates/{kind}/\S+", mail)[0]) for kind in ("retrieval", "loss")}
    otp, wrong = await seen.new_otp(before)
    own, jar = links["retrieval"].rpartition("/")[2], aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as browser:
        for password in (wrong, otp):
            async with browser.post(f"{links['retrieval']}/password", data={"password": password}) as answer:
                seen.answers.append(("the contact's page", (await answer.text()).replace(own, "its own address")))
        async with browser.post(f"{links['retrieval']}/request", data={"csr": PRIVATE_KEY}) as answer:
            assert answer.status == 422
            seen.answers.append(("the contact's page", (await answer.text()).replace(own, "its own address")))
        async with browser.get(f"{links['retrieval']}/file") as answer:
            file = await answer.read()
        seen.secrets |= {f"{kind} link": link.rpartition("/")[2] for kind, link in links.items()}
        seen.secrets |= {f"cookie {cookie.key[-4:]}": cookie.value for cookie in jar}

    async def texted() -> list[str]:
        texts = [each["text"] for each in await seen.stack.sms()]
        return [match[0] for text in texts if (match := re.search(r"([a-z0-9]{5}-){3}[a-z0-9]{5}", text))]

    (password,) = await until(texted, what="the file's password")
    key, _, _ = pkcs12.load_key_and_certificates(file, password.encode())
    assert key is not None
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    seen.secrets |= {"file's password": password, "client's key": pem.splitlines()[1]}
    assert (await seen.call("GET", f"client-certificates/{order['id']}"))["status"] == "issued"


async def test_no_secret_is_anywhere(seen: Seen):
    async def mailed() -> list[tuple[str, str]]:
        return [
            ("mail", f"{each['text']}{each['html']}")
            for each in await seen.stack.mails()
            if PERSONAL not in each["text"] and CONTACT not in each["to"]
        ]

    places = [*await until(mailed, what="the mail about the renewal"), *await written(seen.stack), *seen.answers]
    assert all("LOG_LEVEL=DEBUG" in text for where, text in places if where.endswith("environ"))
    secrets = {**seen.secrets, **kept_secrets(seen.stack), "personal message": PERSONAL, "wrong PIN": "864209"}
    secrets |= {f"{word} typed": f"canary-{word}" for word in ("wrong-password", "wrong-token", "client-secret", "private-key")}
    told = finds(places, {"id": seen.stack.demo["certificate_id"]})
    for searched in ("logs/ca-connector.log", "topic ca-access", "ca-connector's table", "notifier's table", "answer to GET"):
        assert any(f"id in {searched}" in each for each in told), f"{searched} was not searched"
    assert {"trace", "signing-gateway's"} <= {where.split()[0] for where, _ in places}
    ca = seen.stack.state / "sandbox-ca"
    assert sorted({*finds(places, secrets), *known_to_ca(places, ca)}) == []
    code = next(secret for what, secret in secrets.items() if what.startswith("code "))
    assert known_to_ca([("here", f"?code={code}&x")], ca) == ["a secret of the CA's in here"], "the search itself works"


def kept_secrets(stack: Stack) -> dict[str, str]:
    """What lies in the secret files, and what the demo account was given."""
    demo, user = stack.demo, stack.ca_user
    found = {
        "operator's password": demo["operator"]["password"],
        "operator's API token": demo["operator_api_token"],
        "administrator's API token": demo["administrator_api_token"],
        "client secret": demo["client_service"]["client_secret"],
        "PIN": user.pin,
        "password at the CA": user.password,
    }
    for file in (stack.state / "secrets").rglob("*"):
        if file.is_file() and file.name != "service-keys.json" and "BEGIN CERTIFICATE" not in file.read_text():
            found[f"{file.parent.name}'s {file.name}"] = secret_part(file)
    return found


def secret_part(file: Path) -> str:
    """The secret itself: of a key a line of its middle, of a URL the password."""
    text = file.read_text().strip()
    if text.startswith("-----BEGIN"):
        return text.splitlines()[1]
    return urlsplit(text).password or text
