"""What the signing gateway is told, besides what every process is told."""

from pydantic import Field, SecretStr

from hosting.settings import ProcessSettings


class Settings(ProcessSettings):
    """Environment variables in upper case; `token_key` is a file in SECRETS_DIR."""

    public_url: str = Field(pattern=r"^https?://[^/]+(/.*[^/])?$")  # where clients reach us, without a slash at the end
    grant_monitor_url: str
    ca_connector_url: str
    token_key: SecretStr  # Ed25519 private key, PKCS#8 PEM: signs access tokens; the same for every gateway
    max_hashes: int = Field(default=1000, ge=1, le=10_000)  # in one request
