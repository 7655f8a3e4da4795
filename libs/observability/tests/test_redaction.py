import io
import json
import logging
from dataclasses import dataclass

import pytest
from pydantic import BaseModel, SecretStr

from observability import get_logger
from observability.logs import set_up_logs
from observability.redaction import clean_field, looks_secret, masked

CANARY = "c4n4ryM4rk3r"
JWT = f"eyJhbGciOiJFZERTQSJ9.{CANARY}.{CANARY}"
PEM = f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----"

SECRET_NAMES = (
    *(
        "pin",
        "PIN",
        "otp",
        "totp",
        "token",
        "access_token",
        "refreshToken",
        "client_secret",
        "secret",
        "password",
        "smtp_password",
    ),
    *("passwd", "passphrase", "authorization", "Authorization", "code", "authorization_code", "key", "master_key", "private_key"),
    *(
        "sad",
        "SAD",
        "cookie",
        "Set-Cookie",
        "code_verifier",
        "ticket",
        "nonce",
        "session",
        "credentials",
        "jwt",
        "api-key",
        "seed",
    ),
)


@dataclass
class Login:
    username: str
    password: str


class Dialog(BaseModel):
    otp: str
    pin: SecretStr


@pytest.fixture
def lines(monkeypatch):
    """What the process prints, at DEBUG."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    set_up_logs("notifier", "DEBUG")
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines()]
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_a_field_that_is_named_like_a_secret_never_comes_out(name, lines):
    log = get_logger("test")
    log.debug("asked", **{name: CANARY})
    log.debug("asked", facts={name: CANARY, "more": [{name: [CANARY]}]})
    logging.getLogger("test").debug("asked %s", {name: CANARY})
    printed = lines()
    assert len(printed) == 3
    assert CANARY not in json.dumps(printed)


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {CANARY}",
        f"authorization: basic {CANARY}",
        JWT,
        PEM,
        PEM.rsplit("-----END", 1)[0],
        f"postgresql://sinete:{CANARY}@127.0.0.1:5432/db",
        f"https://127.0.0.1/ca/callback?code={CANARY}&state={CANARY}",
        f"GET /ca/callback?state={CANARY}&code={CANARY} failed",
        f"otp={CANARY}",
        f'{{"pin": "{CANARY}", "otp" : "{CANARY}"}}',
        f"grant_type=authorization_code&code={CANARY}&client_secret={CANARY}",
        f"{{'client_secret': '{CANARY}'}}",
        f"{{'password': 'two words {CANARY}'}}",
        f"{{'otp': ['{CANARY}']}}",
        f"(DBAPIError) no\n[SQL: INSERT INTO t VALUES ($1)]\n[parameters: ('{CANARY}', [1])]\n(Background on this error)",
        f"login failed, password: {CANARY}",
        f"ValueError: otp={CANARY}",
        f"{{'body': 'otp={CANARY}'}}",
        repr(Login("maria", CANARY)),
        repr(Dialog(otp=CANARY, pin=SecretStr(CANARY))),
    ],
)
def test_text_that_holds_a_secret_never_comes_out_with_it(text, lines):
    log = get_logger("test")
    log.info(text)
    log.info("asked", reason=text, nested=[{"deep": text}], other=ValueError(text))
    logging.getLogger("aiokafka").warning("said %s", text)
    try:
        int(text)
    except ValueError:
        log.exception("failed")
    printed = lines()
    assert len(printed) == 4
    assert CANARY not in json.dumps(printed)


def test_libraries_print_no_debug_lines_of_their_own(lines):
    for name in ("aiokafka.producer.producer", "sqlalchemy.engine.Engine", "aiohttp.client", "uvicorn.error", "faststream.kafka"):
        logging.getLogger(name).debug(CANARY)
        logging.getLogger(name).info(CANARY)
    logging.getLogger("uvicorn.access").critical(CANARY)
    assert lines() == []


def test_plain_facts_stay_readable(lines):
    get_logger("test").info("allowance handed out", certificate_id="c", n=3, status_code=200, state="active", credential_id="A-1")
    (entry,) = lines()
    assert (
        entry.items()
        >= {
            "event": "allowance handed out",
            "level": "info",
            "service": "notifier",
            "certificate_id": "c",
            "n": 3,
            "status_code": 200,
            "state": "active",
            "credential_id": "A-1",
        }.items()
    )


def test_nobody_can_forge_a_line_or_paint_the_terminal(lines):
    get_logger("test").info('x\r\n{"level": "error"}\x1b[31m\x9b31m\u2028')
    assert len(lines()) == 1


@pytest.mark.parametrize("name", ["status_code", "credential_id", "key_algorithm", "opinion", "monkey", "encoded", "topic"])
def test_words_that_only_look_alike_are_no_secrets(name):
    assert not looks_secret(name)


def test_an_oauth_state_is_hidden_and_that_of_a_grant_is_not():
    assert clean_field("state", "superseded") == "superseded"
    assert clean_field("state", "x" * 43) == "***"


def test_ordinary_text_is_left_alone():
    for text in ("the broker does not answer", "127.0.0.1:7909", "expires at 2027-01-20T08:30:00+00:00", "what now? nothing"):
        assert masked(text) == text
