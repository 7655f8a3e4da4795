"""The mailbox as its own process, on a clock that a test can move, with real sockets."""

import ipaddress
import os
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

IP = ipaddress.ip_address("127.0.0.1")
PROGRAM = """
import sys
from datetime import timedelta
from pathlib import Path
from sandbox_mailbox.__main__ import host_clock, main
main(clock=lambda: host_clock() + timedelta(seconds=float(Path(sys.argv[1]).read_text())))
"""


class Mailbox:
    """A running mailbox; `stop` and `start` keep its state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.smtp_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.clock = folder / "clock"
        self.clock.write_text("0")
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        environment = {
            **os.environ,
            "LISTEN_PORT": str(self.port),
            "SMTP_PORT": str(self.smtp_port),
            "STATE_DIR": str(self.folder / "state"),
            "TLS_CERT": str(self.folder / "cert.pem"),
            "TLS_KEY": str(self.folder / "key.pem"),
            "SMTP_USERNAME": "platform",
            "SECRETS_DIR": str(self.folder / "secrets"),
        }
        self.process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(self.clock)], env=environment)
        for _ in range(200):
            assert self.process.poll() is None, "the mailbox ended"
            try:
                with urlopen(f"{self.url}/healthz", timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        pytest.fail("the mailbox did not start within 20 s")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(15)
            self.process = None

    def smtp(self, *, timeout: float = 20) -> smtplib.SMTP:
        """A connection after STARTTLS, before AUTH."""
        connection = smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=timeout)
        connection.starttls(context=ssl.create_default_context(cafile=str(self.folder / "cert.pem")))
        return connection


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def certify(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)  # noqa: TID251 - TLS validity is the host's
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(IP)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pkcs8, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mailbox")
    certify(folder)
    secrets = folder / "secrets"
    secrets.mkdir()
    (secrets / "smtp_password").write_text("smtp-secret\n")
    (secrets / "sms_token").write_text("sms-secret\n")
    running = Mailbox(folder)
    running.start()
    yield running
    running.stop()
