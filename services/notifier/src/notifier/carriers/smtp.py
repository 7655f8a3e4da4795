"""The mail server: STARTTLS with its certificate checked, AUTH, one mail on one connection."""

import contextlib
import ssl
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from notifier.attempt import Later, Never, Outcome, Sent, told_reason
from notifier.mail import on_the_wire

STEP_S = 15  # for each command; the whole is bounded by the worker
FAREWELL_S = 2
ABOUT_THIS_MAIL = (SMTPSenderRefused, SMTPRecipientRefused, SMTPDataError)


@dataclass(frozen=True)
class MailServer:
    """Where mails go. `ca_file` holds the authorities that may vouch for it; None: the system's."""

    host: str
    port: int
    username: str
    sender: Address
    password: str = field(repr=False)
    ca_file: Path | None = None

    async def send(self, mail: EmailMessage, recipient: Address) -> Outcome:
        """One transaction. A refusal of this very mail (5xx to MAIL, RCPT or DATA) is final, anything else may pass.

        A connection each time: a reused one has hung (aiosmtplib issue 243). Without STARTTLS, or with a certificate that
        does not hold, nothing is sent.
        """
        smtp = SMTP(
            hostname=self.host,
            port=self.port,
            username=self.username or None,
            password=self.password or None,
            local_hostname=self.sender.domain,
            start_tls=True,
            tls_context=ssl.create_default_context(cafile=self.ca_file),
            timeout=STEP_S,
        )
        handed_over = False
        try:
            await smtp.connect()
            await smtp.mail(self.sender.addr_spec)
            await smtp.rcpt(recipient.addr_spec)
            handed_over = True
            await smtp.data(on_the_wire(mail))
        except SMTPResponseException as refusal:
            return _refused(refusal)
        except (SMTPException, OSError, TimeoutError) as fault:
            return Later(told_reason(f"{type(fault).__name__}: {fault}"), unknown=handed_over)
        else:
            with contextlib.suppress(SMTPException, OSError, TimeoutError):  # it has taken the mail: how it parts is no matter
                await smtp.quit(timeout=FAREWELL_S)
            return Sent()
        finally:
            smtp.close()


def _refused(refusal: SMTPResponseException) -> Outcome:
    reason = told_reason(f"{refusal.code} {refusal.message}")
    if refusal.code >= 500 and isinstance(refusal, ABOUT_THIS_MAIL):
        return Never(reason)
    return Later(reason)
