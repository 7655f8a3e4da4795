"""Settings come from the environment, secrets from files: `SECRETS_DIR` is a folder of files named as the setting.

A secret that others on the machine could read stops the start (ASVS 13.2.3), and none is taken from the environment or argv.
"""

import os
import stat
import sys
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

TSettings = TypeVar("TSettings", bound="ProcessSettings")


class Unusable(Exception):
    """Something that the process was told is of no use: the text says what and why. It ends the start."""


class SecretReadable(ValueError):
    """A secret's file can be read by others."""


class _SecretFiles(PydanticBaseSettingsSource):
    """Fields of type SecretStr, each from the file of its name."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[str | None, str, bool]:
        folder = os.environ.get("SECRETS_DIR")
        if field.annotation not in (SecretStr, SecretStr | None) or not folder:
            return None, field_name, False
        file = Path(folder) / field_name
        try:
            if file.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
                raise SecretReadable(f"{file} can be read by everyone: chmod 600 it")
            return file.read_text().strip(), field_name, False
        except FileNotFoundError:
            return None, field_name, False

    def __call__(self) -> dict[str, str]:
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


class _PlainEnvironment(EnvSettingsSource):
    """The environment, for everything but secrets."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[str | None, str, bool]:
        if field.annotation in (SecretStr, SecretStr | None):
            return None, field_name, False
        return super().get_field_value(field, field_name)


class ProcessSettings(BaseSettings):
    """What every process of Sinete is told."""

    model_config = SettingsConfigDict(extra="ignore", hide_input_in_errors=True)

    kafka_bootstrap: str = "127.0.0.1:9092"  # host:port, several separated by commas
    topic_prefix: str = ""  # put before every topic and group, so that tests share a broker
    database_url: SecretStr = SecretStr("")  # postgresql://user:password@host:port/name
    service_key: SecretStr  # Ed25519 private key, PKCS#8 PEM: signs our service tokens
    service_keys: Path  # JWKS of every service's public key, kid = the service's name
    listen_host: str = "127.0.0.1"
    listen_port: int = Field(ge=1, le=65_535)
    admin_port: int = Field(ge=1, le=65_535)  # /livez /readyz /metrics, never public
    otlp_endpoint: str = ""  # OTLP over HTTP; empty: no traces leave
    trace_share: float = Field(default=0.01, ge=0, le=1)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments (tests), then secret files, then the environment; a secret is never read from the environment."""
        _ = env_settings, dotenv_settings, file_secret_settings
        return init_settings, _SecretFiles(settings_cls), _PlainEnvironment(settings_cls)


def load(settings: type[TSettings]) -> TSettings:
    """The settings, or the process ends with status 2 and a message that names each field, never a value."""
    try:
        return settings()
    except ValidationError as refusal:
        for fault in refusal.errors(include_input=False, include_url=False, include_context=False):
            name = str(fault["loc"][0]) if fault["loc"] else "settings"
            field = settings.model_fields.get(name)
            where = f"file {name} in SECRETS_DIR" if field and field.annotation in (SecretStr, SecretStr | None) else name.upper()
            sys.stderr.write(f"{where}: {fault['msg']}\n")
    except SecretReadable as refusal:
        sys.stderr.write(f"{refusal}\n")
    sys.exit(2)
