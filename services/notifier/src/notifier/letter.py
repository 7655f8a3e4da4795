"""The wording of notices: what an operator reads, in HTML and in text, in the operator's language. Pure but for its templates."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from contracts import AccessGrant
from contracts.notices import NoticeKind
from notifier.notice import Service, activated, suspended

LANGUAGES = ("en", "pt")
NO_BREAK_SPACE = "\N{NO-BREAK SPACE}"
TEMPLATES: dict[NoticeKind, Literal["warning", "expired", "renewed"]] = {
    "crossing-time": "warning",
    "crossing-usage": "warning",
    "daily": "warning",
    "expired": "expired",
    "renewed": "renewed",
}


@dataclass(frozen=True)
class Letter:
    """One mail's words."""

    subject: str
    text: str
    html: str | None


@dataclass(frozen=True)
class Subject:
    """One certificate that a mail is about."""

    certificate_id: UUID
    alias: str
    grant: AccessGrant
    services: tuple[Service, ...] = ()


@dataclass(frozen=True)
class Matter:
    """What one mail tells. `zone` is the account's, in which every instant is shown."""

    kind: NoticeKind
    local_date: date
    zone: ZoneInfo
    subjects: tuple[Subject, ...]


@dataclass(frozen=True)
class Shown:
    """One certificate as the templates see it."""

    alias: str
    link: str
    ends: str
    ends_on: str
    ended: str
    reason: str  # of the expiry: time, usage, revoked; empty where there was none
    used: str
    limit: str
    share: str  # the share of the limit above which we warn, in percent
    by_time: bool
    by_usage: bool
    services: tuple[str, ...]
    activated: tuple[str, ...]  # in this epoch already


def language_of(*preferred: str) -> str:
    """The first of these that we speak, by its primary tag (`pt-PT` is `pt`); English when none is."""
    tags = (one.lower().replace("_", "-").split("-")[0] for one in preferred)
    return next((tag for tag in tags if tag in LANGUAGES), LANGUAGES[0])


def digits(number: int) -> str:
    """A number in digits, in groups of three: names of large numbers differ between languages."""
    return f"{number:,}".replace(",", NO_BREAK_SPACE)


def percent(basis_points: int) -> str:
    """9000 → 90, 1250 → 12.5."""
    return f"{basis_points / 100:.2f}".rstrip("0").rstrip(".")


def instant(at: datetime, zone: ZoneInfo) -> str:
    """2027-01-20 08:30 (Europe/Lisbon)."""
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M} ({zone.key})"


def _shown(one: Subject, zone: ZoneInfo, back_office_url: str) -> Shown:
    grant, ended = one.grant, one.grant.last_expired
    return Shown(
        alias=one.alias,
        link=f"{back_office_url.rstrip('/')}/certificates/{one.certificate_id}",
        ends=instant(grant.expires_at, zone),
        ends_on=f"{grant.expires_at.astimezone(zone):%Y-%m-%d} ({zone.key})",
        ended=instant(ended.at, zone) if ended else "",
        reason=ended.reason if ended else "",
        used=digits(grant.used),
        limit=digits(grant.usage_limit),
        share=percent(grant.warn_above_bp),
        by_time=grant.warned.crossing_time is not None,
        by_usage=grant.warned.crossing_usage is not None,
        services=tuple(suspended(one.services, ended.epoch if ended else 0)),
        activated=tuple(activated(one.services, grant.epoch)),
    )


class Letters:
    """Writes notices. `back_office_url` begins every link: a setting, never a header of a request."""

    def __init__(self, back_office_url: str) -> None:
        self._back_office_url = back_office_url
        self._templates = Environment(
            loader=PackageLoader("notifier"),
            autoescape=select_autoescape(["html"], default=False),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def compose(self, matter: Matter, languages: Sequence[str]) -> Letter:
        """The mail for `matter` in the first of `languages` that we speak."""
        language = language_of(*languages)
        shown = [_shown(one, matter.zone, self._back_office_url) for one in matter.subjects]
        facts = {"kind": matter.kind, "local_date": matter.local_date.isoformat(), "lines": shown, "language": language}
        name = f"{language}/{TEMPLATES[matter.kind]}"
        text = self._templates.get_template(f"{name}.txt")
        subject = "".join(text.blocks["subject"](text.new_context(facts)))
        body = "".join(text.blocks["body"](text.new_context(facts)))
        html = self._templates.get_template(f"{name}.html").render(**facts, subject=subject.strip())
        return Letter(subject.strip(), body.strip() + "\n", html)
