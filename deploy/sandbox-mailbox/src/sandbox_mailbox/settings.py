"""What the mailbox is told: the environment, and files for what is secret. It is a third party and shares no code with us."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Ports, files and the accounts that may hand something in."""

    listen_host: str
    listen_port: int
    smtp_port: int
    state_dir: Path
    tls_cert: Path
    tls_key: Path
    smtp_username: str
    smtp_password: str
    sms_token: str

    @classmethod
    def read(cls) -> "Settings":
        """From the environment; raises KeyError, OSError or ValueError naming what is missing or wrong."""
        secrets = Path(os.environ["SECRETS_DIR"])

        def secret(name: str) -> str:
            return (secrets / name).read_text().strip()

        return cls(
            listen_host=os.environ.get("LISTEN_HOST", "127.0.0.1"),
            listen_port=int(os.environ["LISTEN_PORT"]),
            smtp_port=int(os.environ["SMTP_PORT"]),
            state_dir=Path(os.environ["STATE_DIR"]),
            tls_cert=Path(os.environ["TLS_CERT"]),
            tls_key=Path(os.environ["TLS_KEY"]),
            smtp_username=os.environ["SMTP_USERNAME"],
            smtp_password=secret("smtp_password"),
            sms_token=secret("sms_token"),
        )
