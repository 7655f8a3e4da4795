"""One mail as it goes on the wire: one recipient, headers that cannot be injected into. Pure."""

import re
from datetime import datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from notifier.letter import Letter


class MailRefused(ValueError):
    """No mail can be made of this: an address or a header is not one. Says which, never what it holds."""


def address(addr_spec: str, name: str = "") -> Address:
    """An address made of its parts; nothing is guessed from it. Raises MailRefused."""
    if not addr_spec.isascii():
        raise MailRefused("the address holds characters that mail servers need not accept")
    try:
        made = Address(display_name=name, addr_spec=addr_spec)
    except (ValueError, IndexError, HeaderParseError):
        raise MailRefused("the recipient is no mail address, or the name holds a line break") from None
    if not made.username or "." not in made.domain:
        raise MailRefused("the recipient is no mail address")
    return made


_NAMED = re.compile(r"(?P<name>[^<>\"\\]*)<(?P<addr_spec>[^<>]+)>")


def sender_of(told: str) -> Address:
    """The sender that a setting names: `sinete@sinete.example` or `Sinete <sinete@sinete.example>`. Raises MailRefused."""
    named = _NAMED.fullmatch(told.strip())
    return address(named["addr_spec"], named["name"].strip()) if named else address(told.strip())


def mail_of(letter: Letter, *, sender: Address, recipient: Address, message_id: str, at: datetime) -> EmailMessage:
    """The mail. `message_id` with its angle brackets; `at` aware. Raises MailRefused where a header holds a line break."""
    mail = EmailMessage(policy=SMTP)
    headers = {
        "From": sender,
        "To": recipient,
        "Subject": letter.subject,
        "Date": format_datetime(at),
        "Message-ID": message_id,
        "Auto-Submitted": "auto-generated",
    }
    try:
        for name, value in headers.items():
            mail[name] = value
    except ValueError:
        raise MailRefused("a header holds a line break") from None
    mail.set_content(letter.text, cte="quoted-printable")
    if letter.html is not None:
        mail.add_alternative(letter.html, subtype="html", cte="quoted-printable")
    return mail


_UNFOLDED = SMTP.clone(max_line_length=998)
_LONG_ENCODED_WORD = re.compile(rb"=\?[\w-]+\?[bqBQ]\?[^?\s]{63,}\?=")


def on_the_wire(mail: EmailMessage) -> bytes:
    """The mail's bytes, headers not folded: folding adds spaces to a subject that readers then show (RFC 5322 allows 998).

    Only where that would make an encoded word longer than 75 characters (RFC 2047) they are folded after all.
    """
    unfolded = mail.as_bytes(policy=_UNFOLDED)
    head = unfolded.partition(b"\r\n\r\n")[0]
    return mail.as_bytes() if _LONG_ENCODED_WORD.search(head) else unfolded
