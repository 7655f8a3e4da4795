"""The whole business on one stack, in order: sign, be warned, expire, be suspended, renew, sign again."""

import asyncio
import base64
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from embedded.platform_api import ApiRefused, until
from embedded.stack import Client, Stack, demo_client, some_hashes
from embedded.walk import Browser, newest_otp, sms_count, walk

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
PORT_BASE = 17_400
LISBON = ZoneInfo("Europe/Lisbon")
QUIET_S = 13  # a digest waits 10 s for what belongs to it


async def operators(stack: Stack) -> tuple[list[str], list[str]]:
    """The e-mail addresses of the active and of the inactive operators."""
    items = (await stack.issuer.get("operators"))["items"]
    return [o["email"] for o in items if o["status"] == "active"], [o["email"] for o in items if o["status"] != "active"]


async def mails_become(stack: Stack, count: int, within_s: float = 30) -> list[dict]:
    async def there() -> list[dict] | None:
        mails = await stack.mails()
        return mails if len(mails) >= count else None

    mails = await until(there, what=f"{count} mails", within_s=within_s)
    assert len(mails) == count, [(m["to"], m["subject"]) for m in mails]
    return mails


def next_notice_hour(now: datetime, days: int = 1) -> datetime:
    local = (now.astimezone(LISBON) + timedelta(days=days)).replace(hour=9, minute=0, second=0, microsecond=0)
    return local.astimezone(UTC)


async def test_ten_signatures_verify_with_openssl_and_are_counted(stack: Stack, tmp_path: Path):
    client, certificate_id = demo_client(stack), stack.demo["certificate_id"]
    hashes = some_hashes(10)
    status, told, _ = await client.call("credentials/info", {"credentialID": certificate_id, "certificates": "chain"})
    assert status == 200, told
    leaf = x509.load_der_x509_certificate(base64.b64decode(told["cert"]["certificates"][0]))
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    (tmp_path / "key.pem").write_bytes(leaf.public_key().public_bytes(serialization.Encoding.PEM, spki))
    status, body, _ = await client.sign(certificate_id, hashes)
    assert status == 200, body
    for digest, signature in zip(hashes, body["signatures"], strict=True):
        (tmp_path / "digest").write_bytes(base64.b64decode(digest))
        (tmp_path / "signature").write_bytes(base64.b64decode(signature))
        check = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-in", "digest", "-sigfile", "signature"]
        subprocess.run([*check, "-pkeyopt", "digest:sha256"], cwd=tmp_path, check=True, capture_output=True)
    await stack.used_becomes(certificate_id, 10, within_s=5)
    assert await stack.mails() == []


async def test_in_the_last_week_each_active_operator_is_mailed_once_a_day(stack: Stack):
    active, inactive = await operators(stack)
    assert (len(active), len(inactive)) == (2, 1)
    stack.clock("--advance", "53d")
    mails = await mails_become(stack, 2, within_s=60)
    assert sorted(m["to"] for m in mails) == sorted(active)
    assert all("Invoices" in m["text"] and "Invoices" in m["html"] for m in mails)

    stack.clock_to(next_notice_hour(stack.now))
    await mails_become(stack, 4)
    stack.clock_to(next_notice_hour(stack.now, days=2))  # a day is skipped: it is told once, now
    await mails_become(stack, 6)
    stack.down()
    stack.up()
    await asyncio.sleep(QUIET_S)
    mails = await stack.mails()
    assert len(mails) == 6
    assert len({m["message_id"] for m in mails}) == 6


async def test_the_limit_warns_at_its_sixth_signature_and_then_gives_exactly_what_is_left(stack: Stack):
    before = len(await stack.mails())
    limited = stack.demo["limited"]
    certificate_id = limited["certificate_id"]
    credential = (await stack.issuer.get(f"certificates/{certificate_id}"))["credential_id"]
    client = Client(stack.url("signing-gateway"), limited["client_service"])
    await client.sign_at_last(certificate_id, some_hashes(5))
    await stack.used_becomes(certificate_id, 5, within_s=5)
    await asyncio.sleep(1)
    assert len(await stack.mails()) == before
    await client.sign_at_last(certificate_id, some_hashes(1))
    warned = await mails_become(stack, before + 2)
    assert all("Ten signatures" in m["text"] for m in warned[before:])

    status, body, _ = await client.sign(certificate_id, some_hashes(5))
    assert 400 <= status < 500, "five do not fit into four"
    assert status != 429
    assert "4" in body["error_description"]
    answers = await asyncio.gather(*(client.sign(certificate_id, some_hashes(1, seed=str(n))) for n in range(20)))
    assert sorted(s for s, _, _ in answers if s == 200) == [200] * 4, [(s, b) for s, b, _ in answers]
    assert all(s == 200 or (400 <= s < 500 and s != 429) for s, _, _ in answers), [(s, b) for s, b, _ in answers]
    assert len(await stack.journal(credential)) == 10

    async def over() -> bool:
        access = await stack.access(certificate_id)
        return access["state"] == "expired" and access["expired_reason"] == "usage" and access["used"] == 10

    await until(over, what="the grant used up", within_s=10)
    mails = await mails_become(stack, before + 4)
    assert all("Ten only" in m["text"] for m in mails[-2:])


async def test_on_day_sixty_the_gateway_refuses_with_the_monitor_stopped_and_services_are_suspended(stack: Stack):
    before = len(await stack.mails())
    demo, client = stack.demo, demo_client(stack)
    certificate_id = demo["certificate_id"]
    ends = datetime.fromisoformat((await stack.access(certificate_id))["expires_at"])
    await client.sign_at_last(certificate_id, some_hashes(1))
    stopped = stack.signal("grant-monitor", signal.SIGSTOP)
    try:
        stack.clock_to(ends)
        await client.log_in()
        status, body, _ = await client.sign(certificate_id, some_hashes(1))
        assert 400 <= status < 500, body
        assert "expired" in body["error_description"]
    finally:
        __import__("os").kill(stopped, signal.SIGCONT)

    async def suspended() -> bool:
        service = await stack.issuer.get(f"client-services/{demo['client_service']['id']}")
        return (service["status"], service["reason"]) == ("inactive", "access-expired")

    await until(suspended, what="the client service suspended", within_s=10)
    mails = await mails_become(stack, before + 2)
    assert all("Invoicing" in m["text"] for m in mails[-2:])
    with pytest.raises(ApiRefused) as refused:
        await stack.issuer.patch(f"client-services/{demo['client_service']['id']}", {"status": "active"})
    assert refused.value.status == 409


async def test_a_renewal_at_the_ca_survives_wrong_and_late_codes_and_a_change_of_mind(stack: Stack):
    demo, mailbox, home = stack.demo, stack.status["mailbox"]["url"], stack.url("certificate-registry")
    certificate_id, user = demo["certificate_id"], stack.ca_user
    cancelled = await stack.issuer.post(f"certificates/{certificate_id}/renewals", {})
    async with Browser() as browser:
        page = await browser.open(cancelled["authorization_url"])
        page = await browser.submit(page, {"username": user.username, "password": user.password})
        page = await browser.submit(page, {}, action="cancel")
        assert (page.status, page.url.startswith(home)) == (200, True)
    assert (await stack.issuer.get(f"renewals/{cancelled['id']}"))["status"] == "cancelled"
    assert (await stack.access(certificate_id))["state"] == "expired"

    renewal = await stack.issuer.post(f"certificates/{certificate_id}/renewals", {})
    before = await sms_count(mailbox)
    async with Browser() as browser:
        page = await browser.open(renewal["authorization_url"])
        page = await browser.submit(page, {"username": user.username, "password": user.password})
        page = await browser.submit(page, {})
        otp = await newest_otp(mailbox, after=before)
        wrong = f"{(int(otp) + 1) % 1_000_000:06d}"
        page = await browser.submit(page, {"otp": wrong, "pin": user.pin})
        assert not page.url.startswith(home)
        stack.clock("--advance", "3m")
        page = await browser.submit(page, {"otp": otp, "pin": user.pin})
        assert not page.url.startswith(home), "a code is good for two minutes"
        before = await sms_count(mailbox)
        page = await browser.submit(page, {}, action="resend")
        page = await browser.submit(page, {"otp": await newest_otp(mailbox, after=before), "pin": user.pin})
        if not page.url.startswith(home):
            page = await browser.submit(page, {"otp": otp, "pin": user.pin})
        assert (page.status, page.url.startswith(home)) == (200, True), page.text
    assert (await stack.issuer.get(f"renewals/{renewal['id']}"))["status"] == "completed"
    await renewed_and_active_again(stack, certificate_id, demo["client_service"]["id"])
    await demo_client(stack).sign_at_last(certificate_id, some_hashes(3))
    await stack.used_becomes(certificate_id, 3, within_s=5)


async def renewed_and_active_again(stack: Stack, certificate_id: str, client_service_id: str) -> None:
    async def active() -> bool:
        return (await stack.access(certificate_id))["state"] == "active"

    await until(active, what="the renewed grant", within_s=10)
    access = await stack.access(certificate_id)
    days = (datetime.fromisoformat(access["expires_at"]) - stack.now) / timedelta(days=1)
    assert 59.9 < days <= 60
    assert (access["used"], access["usage_share"]) == (0, 0)
    service = await stack.issuer.get(f"client-services/{client_service_id}")
    assert service["status"] == "inactive", "a renewal reactivates nobody"
    status, body, _ = await demo_client(stack).sign(certificate_id, some_hashes(1))
    assert 400 <= status < 500, body
    await stack.issuer.patch(f"client-services/{client_service_id}", {"status": "active"})


async def test_a_renewal_in_our_own_dialog_by_api(stack: Stack):
    certificates = (await stack.issuer.get("certificates?alias=Contracts"))["items"]
    certificate_id = certificates[0]["id"]
    mailbox = stack.status["mailbox"]["url"]
    before = await sms_count(mailbox)
    renewal = await stack.issuer.post(f"certificates/{certificate_id}/renewals", {})
    assert renewal["authorization_url"] is None
    otp = await newest_otp(mailbox, after=before)
    answer = f"renewals/{renewal['id']}/authorisation"
    with pytest.raises(ApiRefused) as refused:
        await stack.issuer.post(answer, {"otp": f"{(int(otp) + 1) % 1_000_000:06d}", "pin": stack.ca_user.pin})
    assert 400 <= refused.value.status < 500
    told = await stack.issuer.post(answer, {"otp": otp, "pin": stack.ca_user.pin})
    assert told["status"] == "completed", told

    async def renewed() -> bool:
        return (await stack.access(certificate_id))["epoch"] == 2

    await until(renewed, what="epoch 2", within_s=10)
    days = (datetime.fromisoformat((await stack.access(certificate_id))["expires_at"]) - stack.now) / timedelta(days=1)
    assert 59.9 < days <= 60


async def test_access_withdrawn_at_the_ca_expires_the_grant_at_its_next_use_and_an_outage_does_not(stack: Stack):
    client, certificate_id = demo_client(stack), stack.demo["certificate_id"]
    credential = (await stack.issuer.get(f"certificates/{certificate_id}"))["credential_id"]
    await stack.at_ca("POST", "mishaps", {"kind": "error-5xx", "count": 1})
    status, _, headers = await client.sign(certificate_id, some_hashes(1))
    assert (status, "Retry-After" in headers) == (503, True)
    stack.clock("--advance", "2h")  # the access token is over: it is refreshed
    await client.log_in()
    await client.sign_at_last(certificate_id, some_hashes(1))
    assert (await stack.access(certificate_id))["state"] == "active"

    await stack.at_ca("POST", "revocations", {"credential_id": credential})
    status, _, _ = await client.sign(certificate_id, some_hashes(1))
    assert status != 200

    async def revoked() -> bool:
        access = await stack.access(certificate_id)
        return (access["state"], access["expired_reason"]) == ("expired", "revoked")

    await until(revoked, what="the grant revoked", within_s=10)
    renewal = await stack.issuer.post(f"certificates/{certificate_id}/renewals", {})
    mailbox, home = stack.status["mailbox"]["url"], stack.url("certificate-registry")
    page = await walk(renewal["authorization_url"], stack.ca_user, mailbox, home)
    assert page.status == 200
    await renewed_and_active_again(stack, certificate_id, stack.demo["client_service"]["id"])
