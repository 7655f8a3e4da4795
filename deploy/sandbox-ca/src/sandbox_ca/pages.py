"""The walk of a person: login, consent, and at CA A the codes. Plain HTML forms, no script; the walk's id is unguessable."""

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from sandbox_ca.codes import OTHER_PERSON, Refused, password_is_right, refused_otp, refused_pin
from sandbox_ca.forms import BadInput, read_form
from sandbox_ca.oauth import CLIENT_ID
from sandbox_ca.parts import MAX_ATTEMPTS, SMS_FAILED, Authority

WALK_LIFE_S = 1_800
CODE_LIFE_S = 120
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Pages:
    """Renders the CA's pages."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority
        self._environment = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)

    def show(self, name: str, status: int = 200, **values: Any) -> Response:
        """A page of `templates`."""
        return HTMLResponse(self._environment.get_template(name).render(**values), status, HEADERS)

    def step(self, walk: dict[str, Any], message: str = "") -> Response:
        """The form of the step the walk is at."""
        settings = self.authority.settings
        return self.show("step.html", walk=walk, ca=walk["ca"].upper(), message=message, mobile=settings.user_mobile[-3:])


def routes(authority: Authority) -> list[Route]:
    """The authorisation endpoint and the forms behind it, and the page that explains this server."""
    pages = Pages(authority)

    async def authorize(request: Request) -> Response:
        asked, ca = dict(request.query_params), request.path_params["ca"]
        if asked.get("client_id") != CLIENT_ID or asked.get("redirect_uri") != authority.settings.redirect_uri:
            return pages.show(
                "message.html", 400, title="Unknown client", text="client_id or redirect_uri is not registered here."
            )
        if fault := fault_of(asked):
            return back(authority, ca, asked, error=fault[0], error_description=fault[1])
        walk = authority.memory.begin_walk(ca, asked, authority.now + WALK_LIFE_S)
        return pages.step(authority.memory.walk(walk) or {})

    async def go_on(request: Request) -> Response:
        try:
            form = await read_form(request)
        except BadInput as bad:
            return pages.show("message.html", bad.status, title="This form cannot be read", text=bad.description)
        walk = authority.memory.walk(form.get("walk", ""))
        if walk is None or walk["ca"] != request.path_params["ca"] or authority.now >= walk["expires"]:
            return pages.show("message.html", 400, title="This walk is over", text="Begin again at the platform you came from.")
        if form.get("action") == "cancel":
            return finished(authority, walk, error="access_denied", error_description="The person cancelled.")
        if form.get("step") != walk["step"]:  # an older form, sent twice or from the browser's history, decides nothing
            return pages.step(walk)
        step = {"login": login, "consent": consent, "codes": codes}[walk["step"]]
        return await step(authority, pages, walk, form)

    async def home(_request: Request) -> Response:
        people = {authority.settings.user_name: "demo", OTHER_PERSON: "other"}
        newest = authority.journal.entries[-50:][::-1]
        return pages.show("home.html", people=people, credentials=authority.credentials.values(), newest=newest, at=authority.at)

    return [
        Route("/{ca:ca}/oauth2/authorize", authorize),
        Route("/{ca:ca}/oauth2/walk", go_on, methods=["POST"]),
        Route("/", home),
    ]


def fault_of(asked: dict[str, str]) -> tuple[str, str] | None:
    """What is wrong with an authorisation request: error and description."""
    if asked.get("response_type") != "code":
        return "unsupported_response_type", "response_type must be code."
    if asked.get("scope", "service") != "service":
        return "invalid_scope", "Only the scope service is given here."
    if len(asked.get("state", "").encode()) > 255:
        return "invalid_request", "state is longer than 255 bytes."
    if asked.get("code_challenge_method") != "S256" or len(asked.get("code_challenge", "")) != 43:
        return "invalid_request", "PKCE with S256 is needed."
    return None


async def login(authority: Authority, pages: Pages, walk: dict[str, Any], form: dict[str, str]) -> Response:
    """Name and password."""
    attempts = authority.memory.count_login(walk["id"])
    if attempts > MAX_ATTEMPTS:
        return finished(authority, walk, error="access_denied", error_description="Too many attempts to log in.")
    if not password_is_right(authority, form.get("username", ""), form.get("password", "")):
        return pages.step(walk, "Name or password is wrong.")
    return advance(authority, pages, walk, "consent", form["username"])


async def consent(authority: Authority, pages: Pages, walk: dict[str, Any], form: dict[str, str]) -> Response:
    """The person allows it. CA A then asks for the codes; at CA B the platform's own dialog will."""
    if form.get("action") != "allow":
        return pages.step(walk, "Choose one of the buttons.")
    if walk["ca"] == "b":
        return granted(authority, walk)
    return advance(authority, pages, walk, "codes", message=await sent(authority, walk, ""))


async def codes(authority: Authority, pages: Pages, walk: dict[str, Any], form: dict[str, str]) -> Response:
    """One-time password and PIN."""
    if form.get("action") == "resend":
        return pages.step(walk, await sent(authority, walk, "A new code is on its way."))
    refused = refused_otp(authority, walk["id"], form.get("otp", "").strip())
    if refused is None:
        refused = refused_pin(authority, walk["person"], form.get("pin", "").strip())
        if refused is not None and not refused.final:
            message = await sent(authority, walk, "A new code is on its way.")
            refused = Refused("pin", f"{refused.reason} {message}", refused.attempts_left)
    if refused is None:
        return granted(authority, walk)
    if refused.final:
        return finished(authority, walk, error="access_denied", error_description=refused.reason)
    return pages.step(walk, refused.reason)


async def sent(authority: Authority, walk: dict[str, Any], message: str) -> str:
    """Sends a code; what to tell the person of it."""
    try:
        await authority.send_otp(walk["id"])
    except SMS_FAILED:
        return "The SMS could not be sent. Ask for a new code in a moment."
    return message


def advance(
    authority: Authority, pages: Pages, walk: dict[str, Any], step: str, person: str | None = None, *, message: str = ""
) -> Response:
    """On to the next form."""
    authority.memory.step(walk["id"], step, person)
    return pages.step({**walk, "step": step, "person": person or walk["person"]}, message)


def granted(authority: Authority, walk: dict[str, Any]) -> Response:
    """The walk is done: a code for the platform."""
    asked = walk["asked"]
    family = authority.memory.new_family(walk["ca"], walk["person"])
    bound = {"redirect_uri": asked["redirect_uri"], "code_challenge": asked["code_challenge"]}
    return finished(authority, walk, code=authority.memory.issue("code", family, authority.now + CODE_LIFE_S, bound))


def finished(authority: Authority, walk: dict[str, Any], **told: str) -> Response:
    """Back to the platform; the walk is forgotten."""
    authority.memory.end_walk(walk["id"])
    return back(authority, walk["ca"], walk["asked"], **told)


def back(authority: Authority, ca: str, asked: dict[str, str], **told: str) -> Response:
    """The redirect of RFC 6749 §4.1.2 with RFC 9207's `iss`."""
    state = {"state": asked["state"]} if "state" in asked else {}
    query = urlencode({**told, **state, "iss": authority.issuer(ca)})
    return RedirectResponse(f"{authority.settings.redirect_uri}?{query}", 303, {"Cache-Control": "no-store"})
