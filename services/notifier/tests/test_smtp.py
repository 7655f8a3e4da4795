"""The carrier of mails against a mail server that misbehaves."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import pytest

from notifier.attempt import Later, Never, Outcome, Sent
from notifier.carriers import smtp
from notifier.carriers.smtp import MailServer
from notifier.letter import Letter
from notifier.mail import address, mail_of

SENDER, ANA = address("notices@sinete.example", "Sinete"), address("ana@exemplo.example", "Ana")
MAIL = mail_of(
    Letter("Hello", ".\n..dots\n", "<p>dots</p>"),
    sender=SENDER,
    recipient=ANA,
    message_id="<1.2@sinete.example>",
    at=datetime(2026, 11, 21, 9, 0, tzinfo=UTC),
)


def server(port: int, ca_file, password: str = "") -> MailServer:
    return MailServer("127.0.0.1", port, "sinete" if password else "", SENDER, password, ca_file)


@pytest.fixture
def send(mailbox, certificate_files) -> Callable[[], Awaitable[Outcome]]:
    return lambda: server(mailbox.port, certificate_files[0], mailbox.password).send(MAIL, ANA)


async def test_a_mail_arrives_as_it_was_written(mailbox, send):
    assert await send() == Sent()
    [(to, mail)] = mailbox.mails
    assert to == "ana@exemplo.example"
    assert mail.get_body(("plain",)).get_content().splitlines() == [".", "..dots"]


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
async def test_a_refusal_is_final_or_passing_by_its_code_alone(mailbox, send, command):
    for code, outcome in (("550", Never), ("451", Later)):
        mailbox.script = lambda said, to, code=code: f"{code} <{to}>: no" if said == command else None
        got = await send()
        assert isinstance(got, outcome)
        assert got.reason == f"{code} …: no"
        assert not getattr(got, "unknown", False)


async def test_no_answer_after_the_mail_was_handed_over_is_unknown_and_before_it_is_not(mailbox, send, monkeypatch):
    monkeypatch.setattr(smtp, "STEP_S", 0.3)
    mailbox.script = lambda said, _to: "hang" if said == "DATA" else None
    outcome = await send()
    assert isinstance(outcome, Later)
    assert outcome.unknown
    mailbox.script = lambda said, _to: "hang" if said == "RCPT" else None
    outcome = await send()
    assert isinstance(outcome, Later)
    assert not outcome.unknown


@pytest.mark.parametrize("ca_file", [None, "/nowhere/ca.pem"])
async def test_a_certificate_that_nobody_vouches_for_stops_the_mail(mailbox, ca_file):
    try:
        outcome = await server(mailbox.port, ca_file, mailbox.password).send(MAIL, ANA)
    except OSError:
        outcome = None  # the file is not there: the worker tries again later
    assert not isinstance(outcome, Sent | Never)
    assert mailbox.mails == []


@asynccontextmanager
async def speaking(lines: list[bytes]) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server that says `lines`, one after each line it hears, and keeps what it heard."""
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            for line in lines:
                writer.write(line)
                await writer.drain()
                heard.append(await reader.readline())
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        over.set()

    over = asyncio.Event()
    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    yield listening.sockets[0].getsockname()[1], heard
    await asyncio.wait_for(over.wait(), 10)
    listening.close()
    await listening.wait_closed()


async def test_without_starttls_nothing_is_said_but_hello(certificate_files):
    async with speaking([b"220 plain\r\n", b"250-plain\r\n250 AUTH PLAIN\r\n"]) as (port, heard):
        outcome = await server(port, certificate_files[0], "secret").send(MAIL, ANA)
    assert isinstance(outcome, Later)
    assert not any(word in line for line in heard for word in (b"AUTH", b"MAIL", b"secret"))


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"554 no service here\r\n"],
        [b"\x00\xff garbage\r\n"],
        [b"220 hi\r\n", b"250-x\r\n250 STARTTLS\r\n", b"454 not now\r\n"],
        [b"220 hi\r\n", b"250-x\r\n250 STARTTLS\r\n", b"220 go\r\nnot tls at all\r\n"],
    ],
)
async def test_a_server_that_is_not_well_is_tried_again(certificate_files, lines, monkeypatch):
    monkeypatch.setattr(smtp, "STEP_S", 1)
    async with speaking(lines) as (port, _):
        outcome = await server(port, certificate_files[0], "secret").send(MAIL, ANA)
    assert isinstance(outcome, Later)
    assert not outcome.unknown


def test_the_password_is_in_no_representation():
    assert "secret" not in repr(server(25, None, "secret"))
    assert ssl.create_default_context().verify_mode is ssl.CERT_REQUIRED
