"""What a person sees: a renewal in a real browser, the mail of it in the mailbox, and both as one trace."""

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import pkcs12
from playwright.async_api import Page, async_playwright, expect

from embedded.platform_api import until
from embedded.stack import Stack
from embedded.walk import newest_otp

PORT_BASE = 17_800
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        not CHROMIUM.exists() and "CI" not in os.environ,
        reason="no /usr/bin/chromium here: apt-get install -y --no-install-recommends chromium fonts-dejavu-core",
    ),
]
SERVICES = {"certificate-registry", "ca-connector", "grant-monitor", "signing-gateway", "notifier"}


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A page of a telephone's width: what fits there fits everywhere."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, chromium_sandbox=False)
        page = await browser.new_page(viewport={"width": 390, "height": 800})
        page.set_default_timeout(20_000)
        yield page
        await browser.close()


async def fits(page: Page) -> bool:
    """Whether nothing has to be scrolled to sideways."""
    return bool(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


async def test_a_person_renews_in_a_browser_and_reads_the_mail_of_it(stack: Stack, page: Page):
    demo = stack.demo
    renewal = await stack.issuer.post(f"certificates/{demo['certificate_id']}/renewals", {})
    await page.goto(renewal["authorization_url"])
    assert await fits(page)
    await page.get_by_label("User name").fill(demo["ca_user"]["username"])
    await page.get_by_label("Password").fill(demo["ca_user"]["password"])
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_role("button", name="Allow").click()
    await page.get_by_label("Code from the SMS").fill("000000")
    await page.get_by_label("PIN").fill(demo["ca_user"]["pin"])
    await page.get_by_role("button", name="Confirm").click()
    await expect(page.get_by_role("alert")).to_contain_text("Attempts left: 4")
    await page.get_by_label("Code from the SMS").fill(await newest_otp(stack.status["mailbox"]["url"]))
    await page.get_by_label("PIN").fill(demo["ca_user"]["pin"])
    await page.get_by_role("button", name="Confirm").click()
    await expect(page.get_by_role("heading")).to_have_text("Renewal completed")
    assert await fits(page)

    await page.reload()
    await expect(page.get_by_role("heading")).to_have_text("This answer cannot be matched")

    async def mailed() -> bool:
        return len(await stack.mails()) == 2

    await until(mailed, what="a mail to each active operator", within_s=40)
    await page.goto(stack.status["mailbox"]["url"])
    assert await fits(page)
    letter = page.frame_locator("iframe").first
    await expect(letter.get_by_role("heading")).to_contain_text("is renewed until")
    async with page.expect_popup() as opened:
        await letter.get_by_role("link").click()
    leads_to = await opened.value
    await expect(leads_to.get_by_text(demo["certificate_id"], exact=True)).to_be_visible()
    assert await fits(leads_to)


async def test_the_renewal_is_one_trace_through_every_service(stack: Stack):
    async def traced() -> bool:
        async with aiohttp.ClientSession(stack.status["traces"]["url"]) as session:
            runs = await (await session.get("/api/runs")).json()
            (renewal,) = [run for run in runs if run["name"].endswith("/renewals")]
            spans = await (await session.get(f"/api/runs/{renewal['id']}/spans")).json()
        names = {span["name"] for span in spans}
        return {"hear access-grants", "deliver mail", "hear notices"} <= names and {
            span["resource_attributes"]["service.name"] for span in spans
        } == SERVICES

    await until(traced, what="one trace from the operator's request to the mails", within_s=30)


async def test_a_contact_fetches_a_client_certificate_and_reports_its_loss(stack: Stack, page: Page):
    demo, texts = stack.demo, len(await stack.sms())
    contact = {"contact_name": "Ana", "email": "contact@exemplo.example", "mobile": "+351910000009"}
    order = {"client_service_id": demo["client_service"]["id"], "client_name": "e-banking", **contact}
    order = await stack.issuer.post("client-certificates", order)

    async def mailed() -> list[dict[str, str]]:
        return await stack.mails(contact["email"])

    letter = (await until(mailed, what="the mail with the link", within_s=40))[0]["text"]
    links = {kind: re.findall(rf"http\S+/client-certificates/{kind}/\S+", letter)[0] for kind in ("retrieval", "loss")}
    await page.goto(links["retrieval"])
    assert await fits(page)
    password = await newest_otp(stack.status["mailbox"]["url"], after=texts)
    await page.get_by_label("One-time password").fill("000000" if password != "000000" else "000001")
    await page.get_by_role("button", name="Continue").click()
    await expect(page.get_by_role("alert")).to_contain_text("Attempts left: 4")
    await page.get_by_label("One-time password").fill(password)
    await page.get_by_role("button", name="Continue").click()
    await page.get_by_label("Certificate signing request").fill("-----BEGIN CERTIFICATE REQUEST----\nMII=\n-----END")
    await page.get_by_role("button", name="Issue the certificate").click()
    await expect(page.get_by_role("alert")).to_contain_text("line 1 ends with 4 hyphens instead of 5")
    assert await fits(page)
    async with page.expect_download() as fetched:
        await page.get_by_role("link", name="Download the file").click()
    file = Path(await (await fetched.value).path()).read_bytes()

    async def texted() -> str:
        return next((each["text"] for each in await stack.sms() if "opens the file" in each["text"]), "")

    opens = (await until(texted, what="the file's password", within_s=40)).split()[1]
    _, certificate, _ = pkcs12.load_key_and_certificates(file, opens.encode())
    issued = await stack.issuer.get(f"client-certificates/{order['id']}")
    assert certificate is not None
    assert issued["sha256"] == certificate.fingerprint(SHA256()).hex()
    await page.goto(links["retrieval"])
    await expect(page.get_by_role("heading", level=1)).to_contain_text("was handed out")
    await page.goto(links["loss"])
    assert await fits(page)
    await page.get_by_role("button", name="Block the certificate now").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("is blocked")
    assert (await stack.issuer.get(f"client-certificates/{order['id']}"))["status"] == "withdrawn"
