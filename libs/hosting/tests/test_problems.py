from datetime import UTC, date, datetime
from typing import Annotated, Literal

import pytest
from fastapi import FastAPI
from pydantic import AfterValidator, BaseModel, ConfigDict, SecretStr
from sqlalchemy.exc import IntegrityError
from starlette.testclient import TestClient

from hosting.database import open_engine
from hosting.problems import install_problems


class WouldExceedLimit(Exception):
    def __init__(self, left: int) -> None:
        super().__init__(f"{left} signatures are left")
        self.left, self.at, self._inner = left, datetime(2026, 11, 21, tzinfo=UTC), "canary-inner"


class Codes(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    otp: SecretStr
    kind: Literal["a", "b"] = "a"


def bounded(when: date) -> date:
    return when


@pytest.fixture
def client():
    app = FastAPI()
    install_problems(app, {WouldExceedLimit: (409, "would-exceed-limit")}, max_body=1_000)

    @app.get("/refused")
    async def refused() -> None:
        raise WouldExceedLimit(3)

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("canary-7f3a")

    @app.get("/away")
    async def away() -> None:
        await open_engine("postgresql://nobody@127.0.0.1:1/nothing").connect()

    @app.get("/wrong-statement")
    async def wrong_statement() -> None:
        raise IntegrityError("INSERT canary-statement", None, Exception("duplicate key"))

    @app.post("/codes")
    async def codes(body: Codes) -> None:
        _ = body

    @app.get("/since")
    async def since(at: Annotated[datetime, AfterValidator(bounded)] | Annotated[date, AfterValidator(bounded)]) -> None:
        _ = at

    return TestClient(app, raise_server_exceptions=False)


def test_a_database_that_is_away_passes_by_itself_and_a_wrong_statement_does_not(client):
    answer = client.get("/away")
    assert (answer.status_code, answer.json()["type"]) == (503, "temporarily-unavailable")
    assert "Retry-After" in answer.headers
    answer = client.get("/wrong-statement")
    assert (answer.status_code, "canary" in answer.text) == (500, False)


def test_a_refusal_is_a_problem_with_its_facts(client):
    answer = client.get("/refused")
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert (told["type"], told["left"], told["at"]) == ("would-exceed-limit", 3, "2026-11-21T00:00:00Z")
    assert "canary-inner" not in answer.text


def test_the_unexpected_tells_a_trace_id_and_nothing_else(client):
    answer = client.get("/broken")
    assert answer.status_code == 500
    assert answer.json()["type"] == "internal-error"
    assert "trace_id" in answer.json()
    assert "canary" not in answer.text


@pytest.mark.parametrize(
    ("content", "status", "kind"),
    [
        (b"{", 400, "malformed-json"),
        (b'{"otp": "1", "kind": "c"}', 422, "invalid-input"),
        (b'{"otp": "canary-otp", "more": 1}', 422, "invalid-input"),
        (b'{"otp": ["canary-otp"]}', 422, "invalid-input"),
        (b" " * 1_001, 413, "body-too-large"),
    ],
)
def test_bad_input_names_the_rule_and_never_quotes_the_input(client, content, status, kind):
    answer = client.post("/codes", content=content, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (status, kind)
    assert "canary" not in answer.text


def test_bad_input_to_a_union_is_named_as_it_was_sent(client):
    assert {fault["field"] for fault in client.get("/since?at=yesterday").json()["errors"]} == {"at"}


def test_a_body_that_streams_past_the_limit_is_refused(client):
    answer = client.post("/codes", content=(b"x" * 300 for _ in range(5)), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["type"]) == (413, "body-too-large")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("DELETE", "/codes", 405)])
def test_unknown_paths_and_methods_are_problems_too(client, method, path, status):
    answer = client.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
