"""What the connector is told besides what every process is."""

from pydantic import Field, SecretStr

from hosting.settings import ProcessSettings


class Settings(ProcessSettings):
    """See README.md."""

    callback_url: str  # the one redirect_uri, registered at every CA
    embedded_ca_hosts: str = ""  # host:port, separated by commas: plain http and loopback are allowed there. Empty in production
    master_key: SecretStr  # 32 bytes in base64: wraps the data keys
    ca_timeout_s: float = 20  # for one exchange with a CA, all in all
    ca_calls_per_certificate: int = Field(default=4, ge=1, le=100)  # under way at a time; what waits meanwhile goes together
