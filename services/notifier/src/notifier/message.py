"""Personal messages: one-time links and codes for one person, by mail or SMS. Pure."""

import re

from pydantic import BaseModel, ConfigDict

from contracts.messages import PersonalMessage
from notifier.letter import Letter
from notifier.mail import MailRefused, address

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
DEFAULT_SUBJECT = "Sinete"


class MessageNotSendable(ValueError):
    """What was asked for can never be delivered: says which field and what to do, never what it holds."""


class SealedBody(BaseModel):
    """What is encrypted of a message: whom it goes to and what it says."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    to: str
    subject: str
    text: str
    html: str | None

    @property
    def letter(self) -> Letter:
        """The words of it."""
        return Letter(self.subject, self.text, self.html)


def body_of(message: PersonalMessage) -> SealedBody:
    """What is to be sealed. Raises MessageNotSendable for a recipient or subject that no carrier would take."""
    subject = message.subject or DEFAULT_SUBJECT
    if any(not c.isprintable() for c in subject):
        raise MessageNotSendable("subject holds a line break or a control character. Send one line of text.")
    if message.channel == "sms":
        if _E164.fullmatch(message.to) is None:
            raise MessageNotSendable("to is no mobile number. Send it in E.164, as in +351910000001.")
    else:
        try:
            address(message.to)
        except MailRefused:
            raise MessageNotSendable("to is no mail address. Send the bare address, without a name.") from None
    html = message.html.get_secret_value() if message.html is not None else None
    return SealedBody(to=message.to, subject=subject, text=message.text.get_secret_value(), html=html)
