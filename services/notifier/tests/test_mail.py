"""Mails on the wire: nothing that others wrote reaches a header as more than text."""

import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from uuid import UUID

import pytest

from contracts.messages import PersonalMessage
from notifier.letter import Letter
from notifier.mail import MailRefused, address, mail_of, on_the_wire, sender_of
from notifier.message import MessageNotSendable, body_of

AT = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
SENDER = address("notices@sinete.example", "Sinete")


def a_mail(subject: str = "Hello", name: str = "Ana Sousa", to: str = "ana@exemplo.example") -> bytes:
    letter = Letter(subject, "Olá\n.\nlast line\n", "<p>Olá</p>")
    message_id = "<1.2@sinete.example>"
    return on_the_wire(mail_of(letter, sender=SENDER, recipient=address(to, name), message_id=message_id, at=AT))


def test_a_mail_carries_its_message_id_both_bodies_and_one_recipient() -> None:
    read = message_from_bytes(a_mail("Acesso terminou: ç"), policy=default)
    assert read["Message-ID"] == "<1.2@sinete.example>"
    assert read["Subject"] == "Acesso terminou: ç"
    assert read["To"] == "Ana Sousa <ana@exemplo.example>"
    assert read["Auto-Submitted"] == "auto-generated"
    assert read["Date"].datetime == AT
    assert [part.get_content_type() for part in read.iter_parts()] == ["text/plain", "text/html"]
    assert "last line" in read.get_body(("plain",)).get_content()


@pytest.mark.parametrize(
    "subject",
    [
        'O acesso ao certificado "Invoices" termina em 2027-01-20 (Europe/Lisbon)',
        'Acesso ao certificado "Invoices": mais de 90 % das assinaturas estão usadas',
        'Acesso ao certificado "Faturação Eletrónica de Ílhavo" terminou',
        "ç" * 150,
    ],
)
def test_a_long_subject_arrives_as_it_was_written(subject: str) -> None:
    sent = a_mail(subject)
    assert message_from_bytes(sent, policy=default)["Subject"] == subject
    assert max(map(len, re.findall(rb"=\?[^ \r]+\?=", sent)), default=0) <= 76  # the standard library's own folding, too


@pytest.mark.parametrize("breaker", ["\r\n", "\n", "\r"])
def test_a_line_break_in_a_subject_or_a_name_is_refused(breaker: str) -> None:
    with pytest.raises(MailRefused):
        a_mail(subject=f"Hello{breaker}Bcc: eve@evil.example")
    with pytest.raises(MailRefused):
        a_mail(name=f"Ana{breaker}Bcc: eve@evil.example")


@pytest.mark.parametrize(
    "told",
    [
        "",
        "ana",
        "ana@",
        "@exemplo.example",
        "ana@localhost",
        "alice@example.org)bob@evil.test",
        "a@b.example, c@d.example",
        "ana@exemplo.example\r\nBcc: eve@evil.example",
        "Ana <ana@exemplo.example>",
        "ána@exemplo.example",
    ],
)
def test_what_is_no_bare_address_is_refused_and_not_repeated_in_the_refusal(told: str) -> None:
    with pytest.raises(MailRefused) as refused:
        address(told)
    assert not told or told not in str(refused.value)


def test_a_sender_may_have_a_name() -> None:
    assert str(sender_of("Sinete <sinete@sinete.example>")) == "Sinete <sinete@sinete.example>"
    assert str(sender_of("sinete@sinete.example")) == "sinete@sinete.example"
    for told in ("Sinete", "<>", "a <b@c.example> <d@e.example>", 'x" <b@c.example>'):
        with pytest.raises(MailRefused):
            sender_of(told)


def a_message(**changes: object) -> PersonalMessage:
    facts = {"id": UUID(int=1), "channel": "email", "to": "ana@exemplo.example", "text": "https://sinete.example/one-time"}
    return PersonalMessage.model_validate(facts | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"to": "Ana <ana@exemplo.example>"},
        {"subject": "Hello\r\nBcc: eve@evil.example"},
        {"subject": "Hello\x00"},
        {"channel": "sms", "to": "910000001"},
        {"channel": "sms", "to": "+351 910 000 001"},
    ],
)
def test_a_message_that_no_carrier_would_take_is_refused_when_it_is_asked_for(changes: dict[str, object]) -> None:
    with pytest.raises(MessageNotSendable):
        body_of(a_message(**changes))


def test_a_message_keeps_its_words() -> None:
    assert body_of(a_message(subject="Your link")).letter == Letter("Your link", "https://sinete.example/one-time", None)
    assert body_of(a_message(channel="sms", to="+351910000001")).to == "+351910000001"
