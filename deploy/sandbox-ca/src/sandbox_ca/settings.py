"""What the sandbox CA is told: the environment, and files for what is secret. It is a third party and shares no code with us."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Addresses, folders and the throw-away secrets of the one demo person."""

    listen_host: str
    listen_port: int
    public_url: str
    state_dir: Path
    redirect_uri: str
    sms_url: str
    user_name: str
    user_mobile: str
    client_secret: str
    user_password: str
    user_pin: str
    sms_token: str

    @classmethod
    def read(cls) -> "Settings":
        """From the environment; raises KeyError or OSError naming what is missing."""
        secrets = Path(os.environ["SECRETS_DIR"])

        def secret(name: str) -> str:
            return (secrets / name).read_text().strip()

        return cls(
            listen_host=os.environ.get("LISTEN_HOST", "127.0.0.1"),
            listen_port=int(os.environ["LISTEN_PORT"]),
            public_url=os.environ["PUBLIC_URL"].rstrip("/"),
            state_dir=Path(os.environ["STATE_DIR"]),
            redirect_uri=os.environ["CLIENT_REDIRECT_URI"],
            sms_url=os.environ.get("SMS_URL", ""),
            user_name=os.environ.get("USER_NAME", "maria.silva"),
            user_mobile=os.environ.get("USER_MOBILE", "+351910000001"),
            client_secret=secret("client_secret"),
            user_password=secret("user_password"),
            user_pin=secret("user_pin"),
            sms_token=secret("sms_token"),
        )
