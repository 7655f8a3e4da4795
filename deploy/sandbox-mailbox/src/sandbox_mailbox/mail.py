"""The SMTP side: STARTTLS, then AUTH, then mail; 250 only after it is on the disk."""

import asyncio
import ssl
from email import policy
from email.message import EmailMessage, Message
from email.parser import BytesParser
from hmac import compare_digest
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from sandbox_mailbox.mishaps import ANSWERS, Mishaps
from sandbox_mailbox.settings import Settings
from sandbox_mailbox.store import Store

MOST_BYTES = 10 * 1024 * 1024


def tls_context(settings: Settings) -> ssl.SSLContext:
    """The server's certificate and key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.tls_cert, settings.tls_key)
    return context


def smtp_server(settings: Settings, store: Store, mishaps: Mishaps, context: ssl.SSLContext) -> SMTP:
    """The protocol of one connection. Nothing is taken before STARTTLS and AUTH."""

    def allowed(_server: SMTP, _session: Session, _envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        if mechanism not in {"PLAIN", "LOGIN"} or not isinstance(data, LoginPassword):
            return AuthResult(success=False, handled=False)
        name = compare_digest(data.login, settings.smtp_username.encode())
        password = compare_digest(data.password, settings.smtp_password.encode())
        return AuthResult(success=name and password, handled=False)

    return SMTP(
        Taking(store, mishaps),
        hostname="sandbox-mailbox",
        ident="Sandbox mailbox",
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        auth_require_tls=True,
        authenticator=allowed,
        data_size_limit=MOST_BYTES,
        enable_SMTPUTF8=True,
        timeout=300,
    )


class Taking:
    """aiosmtpd's handler."""

    def __init__(self, store: Store, mishaps: Mishaps) -> None:
        self._store, self._mishaps = store, mishaps

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Keeps the mail, once for each person it is for."""
        mishap = self._mishaps.next()
        if mishap == "hang":
            await self._mishaps.hold()
            cast("asyncio.WriteTransport", server.transport).abort()
            return "421 4.4.2 Scripted mishap"  # goes nowhere: the connection is gone
        if mishap is not None:
            return ANSWERS[mishap]
        content = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        read = read_mail(content)
        sender = envelope.mail_from or ""
        self._store.add("message", [{"from": sender, "to": to, **read} for to in envelope.rcpt_tos])
        return "250 2.0.0 Kept"


def read_mail(content: bytes) -> dict[str, str]:
    """Subject, Message-ID and both bodies, decoded; what cannot be read is shown as it came."""
    mail = BytesParser(_class=EmailMessage, policy=policy.default).parsebytes(content)
    return {
        "subject": str(mail["subject"] or ""),
        "message_id": str(mail["message-id"] or "").strip(),
        "text": _body(mail, "plain"),
        "html": _body(mail, "html"),
    }


def _body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    return _decoded(part).replace("\r\n", "\n") if part is not None else ""


def _decoded(part: Message) -> str:
    raw = part.get_payload(decode=True)
    content = raw if isinstance(raw, bytes) else b""
    try:
        return content.decode(part.get_content_charset() or "utf-8", "replace")
    except LookupError:
        return content.decode("utf-8", "replace")
