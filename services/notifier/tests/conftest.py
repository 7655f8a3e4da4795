"""A mail server that can be scripted, and the certificate it shows."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hosting import host_utc

PASSWORD = "mailbox-password"


@pytest.fixture(scope="session")
def certificate_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that vouches for itself, and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test mail server")])
    certificate = (
        x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(host_utc() - timedelta(days=1))
        .not_valid_after(host_utc() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


@dataclass
class Mailbox:
    """A mail server with STARTTLS and AUTH. `script(command, recipient)` answers instead of it; "hang" never answers."""

    port: int = 0
    password: str = PASSWORD
    mails: list[tuple[str, EmailMessage]] = field(default_factory=list)
    script: Callable[[str, str], str | None] = lambda _command, _recipient: None
    taken: Callable[[], None] = lambda: None  # called between taking a mail and saying so

    async def _scripted(self, command: str, recipient: str) -> str | None:
        answer = self.script(command, recipient)
        if answer == "hang":
            await asyncio.sleep(3600)
        return answer

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, sender: str, options: list[str]) -> str:  # noqa: N802 - aiosmtpd's name
        if answer := await self._scripted("MAIL", sender):
            return answer
        envelope.mail_from = sender
        return "250 OK"

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, to: str, options: list[str]) -> str:  # noqa: N802 - aiosmtpd's name
        if answer := await self._scripted("RCPT", to):
            return answer
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        [to] = envelope.rcpt_tos
        if answer := await self._scripted("DATA", to):
            return answer
        assert session.authenticated
        assert session.ssl is not None
        read = message_from_bytes(envelope.content, policy=default)
        assert isinstance(read, EmailMessage)
        self.mails.append((to, read))
        self.taken()
        return "250 taken"

    def message_ids(self) -> list[str]:
        return [mail["Message-ID"] for _, mail in self.mails]


@pytest.fixture
async def mailbox(certificate_files: tuple[Path, Path]) -> AsyncIterator[Mailbox]:
    """A running one."""
    box = Mailbox()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate_files)

    def check(_server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: object) -> AuthResult:
        return AuthResult(success=getattr(data, "password", b"") == PASSWORD.encode(), handled=False)

    def connection() -> SMTP:
        return SMTP(
            box, hostname="test", tls_context=tls, require_starttls=True, auth_required=True, authenticator=check, loop=loop
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(connection, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    yield box
    server.close()


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    """Waits for a condition, for at most 20 s."""

    async def wait(holds: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(20):
            while not await holds():
                await asyncio.sleep(0.05)

    return wait
