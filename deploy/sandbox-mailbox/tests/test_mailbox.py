"""The mailbox from outside: SMTP, its API and its page."""

import json
import signal
import smtplib
import threading
from email.message import EmailMessage
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest


@pytest.fixture
def empty(mailbox):
    for path in ("messages", "sms", "mishaps"):
        call(mailbox, f"/api/{path}", "DELETE")
    return mailbox


def call(mailbox, path, method="GET", body=None, token=None):
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    with urlopen(Request(mailbox.url + path, data, headers, method=method), timeout=20) as answer:
        text = answer.read().decode()
        return json.loads(text) if text.startswith(("[", "{")) else text


def refused(mailbox, path, method="POST", body=None, token=None):
    with pytest.raises(HTTPError) as caught:
        call(mailbox, path, method, body, token)
    with caught.value as answer:
        return answer.code, json.loads(answer.read())


def a_mail(subject="Olá, acesso expira", message_id="<one@platform.example>"):
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"], mail["Message-ID"] = "p@platform.example", "a@x.example", subject, message_id
    mail.set_content("Certificação: 7 dias\n")
    mail.add_alternative("<p>Certificação: <b>7 dias</b></p>", subtype="html")
    return mail


def send(mailbox, mail, to=("a@x.example",)):
    with mailbox.smtp() as smtp:
        smtp.login("platform", "smtp-secret")
        smtp.send_message(mail, to_addrs=list(to))


def test_a_mail_is_kept_once_for_each_recipient_with_its_words_decoded(empty):
    send(empty, a_mail(), ("a@x.example", "b@x.example"))
    first, second = call(empty, "/api/messages")
    assert list(first) == ["id", "at", "from", "to", "subject", "message_id", "text", "html"]
    assert (first["to"], second["to"]) == ("a@x.example", "b@x.example")
    assert first["subject"] == "Olá, acesso expira"
    assert first["message_id"] == "<one@platform.example>"
    assert first["text"] == "Certificação: 7 dias\n"
    assert "<b>7 dias</b>" in first["html"]
    assert first["at"].endswith("Z")


def test_the_same_message_id_twice_is_two_messages_and_one_recipient_can_be_picked_and_thrown_away(empty):
    send(empty, a_mail())
    send(empty, a_mail(), ("A@x.example", "b@x.example"))
    assert len(call(empty, "/api/messages?to=a@x.example")) == 2
    call(empty, "/api/messages?to=a@x.example", "DELETE")
    assert [m["to"] for m in call(empty, "/api/messages")] == ["b@x.example"]


def test_nothing_is_taken_without_tls_or_without_the_password(empty):
    with smtplib.SMTP("127.0.0.1", empty.smtp_port, timeout=20) as plain:
        plain.ehlo()
        assert not plain.has_extn("auth")
        assert plain.mail("p@platform.example")[0] == 530
    with empty.smtp() as smtp:
        smtp.ehlo()
        assert smtp.mail("p@platform.example")[0] == 530
        with pytest.raises(smtplib.SMTPAuthenticationError):
            smtp.login("platform", "wrong")
    assert call(empty, "/api/messages") == []


@pytest.mark.parametrize("mechanism", ["auth_plain", "auth_login"])
def test_both_ways_of_logging_in_work(empty, mechanism):
    with empty.smtp() as smtp:
        smtp.ehlo()
        smtp.user, smtp.password = "platform", "smtp-secret"
        assert smtp.auth(mechanism.removeprefix("auth_").upper(), getattr(smtp, mechanism))[0] == 235


@pytest.mark.parametrize(("kind", "code"), [("4xx", 451), ("5xx", 554)])
def test_a_scripted_refusal_keeps_nothing_and_the_next_mail_passes(empty, kind, code):
    assert call(empty, "/api/mishaps", "POST", {"kind": kind, "count": 1}) == {"pending": [{"kind": kind, "count": 1}]}
    with pytest.raises(smtplib.SMTPDataError) as caught:
        send(empty, a_mail())
    assert caught.value.smtp_code == code
    send(empty, a_mail())
    assert len(call(empty, "/api/messages")) == 1


def test_a_hanging_mail_is_never_answered_and_is_cut_off_when_mishaps_are_cleared(empty):
    call(empty, "/api/mishaps", "POST", {"kind": "hang", "count": 1})
    outcome = []

    def hang():
        try:
            send(empty, a_mail())
        except (smtplib.SMTPException, OSError) as cut:
            outcome.append(cut)

    sender = threading.Thread(target=hang)
    sender.start()
    for _ in range(100):
        if not call(empty, "/api/mishaps")["pending"]:
            break
        threading.Event().wait(0.1)
    assert sender.is_alive()
    assert not outcome
    call(empty, "/api/mishaps", "DELETE")
    sender.join(20)
    assert len(outcome) == 1
    assert call(empty, "/api/messages") == []


def test_an_sms_is_handed_in_with_the_token_only(empty):
    assert refused(empty, "/api/sms", body={"to": "+351910000001", "text": "x"}, token="wrong")[0] == 401
    call(empty, "/api/sms", "POST", {"to": "+351910000001", "text": "Code 123456"}, "sms-secret")
    (sms,) = call(empty, "/api/sms?to=%2B351910000001")
    assert list(sms) == ["id", "at", "to", "text"]
    assert sms["text"] == "Code 123456"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/mishaps", {"kind": "6xx"}, "kind"),
        ("/api/mishaps", {"kind": "4xx", "count": 0}, "count"),
        ("/api/mishaps", {"kind": ["4xx"]}, "kind"),
        ("/api/sms", {"to": 5, "text": "x"}, "to"),
        ("/api/sms", {"to": "+351910000001"}, "text"),
        ("/api/sms", b"{", None),
        ("/api/sms", b"[]", None),
    ],
)
def test_bad_input_is_told_by_its_field(empty, path, body, field):
    code, told = refused(empty, path, body=body, token="sms-secret")
    assert code == 400
    assert told.get("field") == field


def test_what_was_accepted_outlives_a_kill_and_carries_the_moved_clock(empty):
    empty.clock.write_text("86400000")
    send(empty, a_mail())
    empty.stop(signal.SIGKILL)
    empty.start()
    (kept,) = call(empty, "/api/messages")
    assert kept["at"] > "2029"
    empty.clock.write_text("0")


def test_the_page_shows_mails_in_a_sandboxed_frame_and_escapes_what_they_say(empty):
    send(empty, a_mail(subject='<script>"x"</script>'))
    page = call(empty, "/")
    assert "<script>" not in page
    assert '<iframe sandbox="allow-popups allow-popups-to-escape-sandbox"' in page  # no script, no form; a link opens a tab
    assert "&lt;b&gt;7 dias" in page


def test_a_mail_that_no_parser_loves_is_still_kept(empty):
    with empty.smtp() as smtp:
        smtp.login("platform", "smtp-secret")
        smtp.sendmail(
            "p@platform.example", ["a@x.example"], b"Subject: =?bad?Q?=FF\r\nContent-Type: text/plain; charset=nope\r\n\r\n\xff"
        )
    assert len(call(empty, "/api/messages")) == 1
