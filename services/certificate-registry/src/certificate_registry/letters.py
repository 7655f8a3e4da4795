"""The words of what a contact and the operators are told about a client certificate, in their language. Pure."""

from datetime import datetime
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined

from contracts.messages import PersonalMessage

_letters = Environment(
    loader=PackageLoader("certificate_registry", "templates/letters"),
    autoescape=False,  # noqa: S701 - plain text for mails and SMS
    undefined=StrictUndefined,
    trim_blocks=True,
)
LANGUAGES = ("en", "pt")


def letter(which: str, language: str, *, message_id: UUID, to: str, by: str = "email", **told: object) -> PersonalMessage:
    """One mail, or one SMS where `by` is "sms". `which` names the template; the id is its own for ever, so it is sent once."""
    template = _letters.get_template(f"{language if language in LANGUAGES else LANGUAGES[0]}/{which}.txt")
    context = template.new_context(told)
    subject, text = ("".join(template.blocks[block](context)).strip() for block in ("subject", "body"))
    return PersonalMessage.model_validate(
        {"id": message_id, "channel": by, "to": to, "subject": subject[:200] or None, "text": text}
    )


def id_of(certificate_id: UUID, what: str) -> UUID:
    """The id of a message that is owed once for a certificate."""
    return uuid5(certificate_id, what)


def local(at: datetime, zone: str) -> str:
    """An instant as people of that zone read it, with the zone."""
    return f"{at.astimezone(ZoneInfo(zone)).strftime('%Y-%m-%d %H:%M')} ({zone})"
