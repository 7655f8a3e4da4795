"""What the notifier is told, beside what every process is."""

from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from hosting.settings import ProcessSettings
from notifier.mail import sender_of
from notifier.sealing import Sealer


class Settings(ProcessSettings):
    """Mail server, SMS gateway, and the key that seals personal messages."""

    smtp_host: str
    smtp_port: int = Field(default=587, ge=1, le=65_535)
    smtp_username: str = ""  # empty: no AUTH
    smtp_password: SecretStr = SecretStr("")
    smtp_ca_file: Path | None = None  # PEM of who vouches for the mail server; unset: the system's authorities
    mail_from: str  # `address` or `name <address>`; its domain is that of every Message-ID
    back_office_url: str  # every link in a mail begins with it
    sms_url: str = ""  # POST {"to", "text"}; empty: no SMS can be sent
    sms_token: SecretStr = SecretStr("")
    master_key: SecretStr  # 32 bytes in base64

    @field_validator("smtp_ca_file", mode="before")
    @classmethod
    def _empty_is_unset(cls, told: object) -> object:
        return told or None

    @field_validator("mail_from")
    @classmethod
    def _is_a_sender(cls, told: str) -> str:
        sender_of(told)
        return told

    @field_validator("master_key")
    @classmethod
    def _is_a_key(cls, told: SecretStr) -> SecretStr:
        Sealer(told.get_secret_value())
        return told
