import pytest
from pydantic import SecretStr

from hosting.settings import ProcessSettings, load


class Settings(ProcessSettings):
    smtp_password: SecretStr


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name, value in {"SERVICE_KEYS": "keys.json", "LISTEN_PORT": "1", "ADMIN_PORT": "2", "SECRETS_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    for secret in ("service_key", "smtp_password"):
        (tmp_path / secret).write_text(f"canary-{secret}\n")
        (tmp_path / secret).chmod(0o600)
    return tmp_path


def test_secrets_come_from_files_and_the_rest_from_the_environment(place):
    told = load(Settings)
    assert told.smtp_password.get_secret_value() == "canary-smtp_password"
    assert told.listen_port == 1
    assert "canary" not in repr(told)


def test_a_secret_in_the_environment_is_not_taken(place, monkeypatch, capsys):
    (place / "smtp_password").unlink()
    monkeypatch.setenv("SMTP_PASSWORD", "canary-from-environment")
    with pytest.raises(SystemExit):
        load(Settings)
    assert "file smtp_password in SECRETS_DIR" in capsys.readouterr().err


def test_a_secret_that_everyone_can_read_stops_the_start(place, capsys):
    (place / "smtp_password").chmod(0o644)
    with pytest.raises(SystemExit):
        load(Settings)
    assert "can be read by everyone" in capsys.readouterr().err


def test_a_wrong_setting_is_named_and_not_quoted(place, monkeypatch, capsys):
    monkeypatch.setenv("LISTEN_PORT", "canary-port")
    with pytest.raises(SystemExit) as ended:
        load(Settings)
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert "LISTEN_PORT" in told
    assert "canary" not in told
