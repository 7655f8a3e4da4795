from typing import Annotated

from pydantic import Field, StringConstraints

from hosting.settings import ProcessSettings

Address = Annotated[str, StringConstraints(pattern=r"^https?://[^/?#@\s]+$")]


class Settings(ProcessSettings):
    """What the certificate registry is told besides."""

    public_url: Address = Field(description="how browsers reach us, as https://sinete.example; with https the cookies are Secure")
    ca_connector_url: Address
