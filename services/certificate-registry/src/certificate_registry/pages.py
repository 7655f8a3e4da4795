"""The pages that a browser ends on when it comes from, or goes to, a CA. Self-contained: no script, no other origin."""

import base64
from datetime import datetime
from hashlib import sha256
from importlib import resources
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined

from certificate_registry import walk
from contracts.ca_connector import Authorisation, CertificateAuthority

STYLE = (resources.files("certificate_registry") / "templates" / "page.css").read_text()
STYLE_HASH = base64.b64encode(sha256(STYLE.encode()).digest()).decode()
"""What the Content-Security-Policy names, so that this style is the only one a page can have."""

TEMPLATES = Environment(
    loader=PackageLoader("certificate_registry", "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def _render(title: str, *said: str, kind: str = "failed", **more: Any) -> str:
    told = {"facts": {}, "account_url": None, "support": None, **more}
    return TEMPLATES.get_template("outcome.html").render(title=title, said=said, kind=kind, style=STYLE, **told)


def outcome(kind: str, told: Authorisation, *, alias: str, zone: str, authority: CertificateAuthority | None) -> str:
    """The page that names the outcome of a walk, and what to do next."""
    noun = kind.capitalize()
    if told.status == "completed":
        return _completed(kind, told, alias, zone)
    if told.status == "awaiting-credential":
        return _render(
            "Choose the credential",
            f"The certificate authority gave access for “{alias}”. One step is left: choose which of the credentials found "
            "there is to be registered. Go back to the registration in the platform.",
            kind="waiting",
        )
    if told.status in {"awaiting-ca", "awaiting-authorisation"}:
        return _render(
            f"{noun} is not finished",
            f"The {kind} of “{alias}” goes on in the platform: look there for what it asks.",
            kind="waiting",
        )
    links: dict[str, Any] = {
        "account_url": authority.client_account_url if authority else None,
        "support": authority.support_contact if authority else None,
    }
    kept = "Nothing was registered." if kind == "registration" else "The access is as it was before."
    advice = walk.ADVICE.get(told.reason or "", "Begin again; if it fails once more, ask the certificate authority's support.")
    verb = "cancelled" if told.status == "cancelled" else "failed"
    return _render(
        f"{noun} {verb}",
        f"The {kind} of “{alias}” was {verb}." if verb == "cancelled" else f"The {kind} of “{alias}” failed.",
        advice,
        kept,
        **links,
    )


def _completed(kind: str, told: Authorisation, alias: str, zone: str) -> str:
    until = {"Certificate access expiration date": local(told.granted.expires_at, zone)} if told.granted else {}
    if kind == "registration":
        return _render("Registration completed", f"“{alias}” is registered and can be used.", kind="done", facts=until)
    return _render(
        "Renewal completed",
        f"The access to “{alias}” is renewed.",
        "Client services that were suspended stay inactive: activate them in the platform.",
        kind="done",
        facts=until,
    )


def front(public_url: str) -> str:
    """Where somebody lands who opens the bare address."""
    return _render(
        "Certificate registry",
        "Operators keep certificates, client services and renewals by the API. Its calls take an operator's token.",
        kind="waiting",
        facts={"API": f"{public_url}/api/v1", "Its description (OpenAPI)": f"{public_url}/api/v1/openapi.json"},
    )


def certificate(public_url: str, certificate_id: UUID) -> str:
    """Where a mail's link leads: what can be done with a certificate, said without knowing who asks."""
    at = f"{public_url}/api/v1/certificates/{certificate_id}"
    return _render(
        "A certificate",
        "Look at it, renew its access or give the access up by the API, with an operator's token.",
        "The answer to a renewal holds the address that leads you to the certificate authority.",
        kind="waiting",
        facts={"Certificate": certificate_id, "Look at it": f"GET {at}", "Renew its access": f"POST {at}/renewals"},
    )


def no_ticket() -> str:
    """The link is used, over or never was one."""
    return _render(
        "This link does not hold",
        "It was used already, it is older than two minutes, or it is not complete. Nothing was changed.",
        "Begin again from the certificate's page in the platform.",
    )


def not_now() -> str:
    """The account or the operator does not work any more."""
    return _render(
        "Not possible",
        "The account is suspended, or the operator who began is inactive. Nothing was changed. Ask the platform's administrator.",
    )


def not_bound() -> str:
    """The way back is not that of a walk begun in this browser."""
    return _render(
        "This answer cannot be matched",
        "It was used already, was altered, or comes from another browser than the one the walk began in. Nothing was changed.",
        "Look at the certificate's page in the platform for how it stands; begin again there if needed.",
    )


def try_again() -> str:
    """The connector cannot be reached."""
    return _render("Not possible at the moment", "Nothing was changed. Open the link again in a few seconds.", kind="waiting")


def not_known_yet() -> str:
    """The connector was told and did not answer."""
    return _render(
        "The outcome is not known yet",
        "The certificate authority's answer was handed on and its outcome is being asked after. "
        "Look at the certificate's page in the platform in a minute.",
        kind="waiting",
    )


def local(at: datetime, zone: str) -> str:
    """An instant as people of that zone read it, with the zone."""
    return f"{at.astimezone(ZoneInfo(zone)).strftime('%Y-%m-%d %H:%M:%S')} ({zone})"
