from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, StringConstraints, field_validator, model_validator

from hosting.settings import ProcessSettings

Address = Annotated[str, StringConstraints(pattern=r"^https?://[^/?#@\s]+$")]


class Settings(ProcessSettings):
    """What the certificate registry is told besides."""

    public_url: Address = Field(description="how browsers reach us, as https://sinete.example; with https the cookies are Secure")
    ca_connector_url: Address
    client_ca_file: Path | None = (
        None  # PEM: the certificate of the authority that issues client certificates, then those above it
    )
    client_ca_key: SecretStr | None = None  # its key on P-256, encrypted PKCS#8 PEM
    client_ca_password: SecretStr | None = None  # which opens it
    notifier_url: Address | None = None  # who sends links and passwords to contacts, and warnings to operators

    @field_validator("client_ca_file", mode="before")
    @classmethod
    def _empty_is_unset(cls, told: object) -> object:
        return told or None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        told = (self.client_ca_file, self.client_ca_key, self.client_ca_password)
        if any(told) and not (all(told) and self.notifier_url):
            raise ValueError("CLIENT_CA_FILE, client_ca_key and client_ca_password come together, and with NOTIFIER_URL")
        return self
