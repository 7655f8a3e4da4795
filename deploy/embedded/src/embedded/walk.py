"""A person's walk through the sandbox CA's pages, by HTTP: fills each form by its inputs' names until it is back home.

Used by the seeding and by the tests; it reads one-time passwords from the sandbox mailbox, as the person would from a phone.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import aiohttp

MAX_FORMS = 8
OTP_PATIENCE_S = 10


class WalkFailed(Exception):
    """The walk did not get back to the platform."""


@dataclass
class Form:
    """One form of a page: where it posts, what it holds, what it asks for, which buttons it has."""

    action: str
    values: dict[str, str] = field(default_factory=dict)
    asks: list[str] = field(default_factory=list)
    buttons: list[str] = field(default_factory=list)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(Form(told.get("action", "")))
        elif self.found and tag == "input" and told.get("type") == "hidden":
            self.found[-1].values[told["name"]] = told.get("value", "")
        elif self.found and tag == "input" and "name" in told and told.get("type") != "submit":
            self.found[-1].asks.append(told["name"])
        elif self.found and tag in {"button", "input"} and told.get("name") == "action":
            self.found[-1].buttons.append(told.get("value", ""))


def forms(page: str) -> list[Form]:
    """The forms of a page, in order."""
    parser = _Forms()
    parser.feed(page)
    return parser.found


@dataclass
class Page:
    """Where the browser is now."""

    url: str
    status: int
    text: str


class Browser:
    """Cookies, redirects and forms: what the walk needs of a browser. `async with` closes it."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), timeout=aiohttp.ClientTimeout(total=30))

    async def __aenter__(self) -> "Browser":  # noqa: PYI034 - plain
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def open(self, url: str) -> Page:
        """GET, redirects followed."""
        async with self._session.get(url) as answer:
            return Page(str(answer.url), answer.status, await answer.text())

    async def submit(self, page: Page, values: Mapping[str, str], action: str | None = None) -> Page:
        """Posts the page's first form with `values` typed in, by the button `action` or the form's first."""
        form = forms(page.text)[0]
        filled = {**form.values, **{name: values.get(name, "") for name in form.asks}}
        if form.buttons:
            filled["action"] = action or form.buttons[0]
        async with self._session.post(urljoin(page.url, form.action), data=filled) as answer:
            return Page(str(answer.url), answer.status, await answer.text())


@dataclass(frozen=True)
class CaUser:
    """The person's account at the sandbox CA."""

    username: str
    password: str
    pin: str


async def newest_otp(mailbox_url: str, *, after: int = 0) -> str:
    """The newest one-time password in the SMS in-tray, once there are more than `after` messages."""
    async with aiohttp.ClientSession() as session:
        for _ in range(OTP_PATIENCE_S * 10):
            async with session.get(f"{mailbox_url}/api/sms") as answer:
                messages = await answer.json()
            if len(messages) > after and (found := re.search(r"(?<!\d)\d{6}(?!\d)", messages[-1]["text"])):
                return found[0]
            await asyncio.sleep(0.1)
    raise WalkFailed(f"no one-time password came within {OTP_PATIENCE_S} s")


async def sms_count(mailbox_url: str) -> int:
    """How many SMS there are."""
    async with aiohttp.ClientSession() as session, session.get(f"{mailbox_url}/api/sms") as answer:
        return len(await answer.json())


async def walk(authorization_url: str, user: CaUser, mailbox_url: str, home: str) -> Page:
    """From our authorisation URL through the CA's pages to the page at `home` that names the outcome."""
    before = await sms_count(mailbox_url)
    async with Browser() as browser:
        page = await browser.open(authorization_url)
        for _ in range(MAX_FORMS):
            if page.url.startswith(home):
                return page
            if page.status != 200 or not forms(page.text):
                raise WalkFailed(f"the CA's page answered {page.status} without a form")
            values = {"username": user.username, "password": user.password, "pin": user.pin}
            if "otp" in forms(page.text)[0].asks:
                values["otp"] = await newest_otp(mailbox_url, after=before)
            page = await browser.submit(page, values)
    raise WalkFailed(f"still at the CA after {MAX_FORMS} forms")
