"""Input that is well-formed and odd: a clear refusal, never a 500."""

from uuid import uuid4

import pytest

pytestmark = pytest.mark.integration
HALF = '"\\ud800"'
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("accounts", f'{{"name": {HALF}}}', 422),
        ("operators", f'{{"name": "x", "email": {HALF}}}', 422),
        ("operators", f'{{"name": "x", "email": "a@b.example", "password": {HALF}}}', 422),
        ("tokens", f'{{"email": {HALF}, "password": "x"}}', 422),
        ("tokens", f'{{"email": "a@b.example", "password": {HALF}}}', 422),
        ("certificate-authorities", f'{{"name": {HALF}}}', 422),
        ("accounts", "[" * 100_000, 400),
        ("accounts", '{"name": "x", "notice_hour": 1e400}', 422),
        ("accounts", '{"name": "x", "notice_hour": ' + "9" * 400 + "}", 422),
        ("accounts", "null", 422),
        ("accounts", "", 422),
        ("accounts", '{"name": null}', 422),
        ("accounts", '{"name": {"$ne": 1}}', 422),
        ("client-services", '{"name": "x", "certificate_id": "1\'; DROP TABLE account; --"}', 422),
    ],
)
async def test_a_body_that_cannot_be_kept_is_refused(registry, path, body, status):
    _, token = await registry.operator("administrator")
    answer = await registry.call("POST", path, token, data=body, headers=JSON)
    assert answer.status == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("year", ["0001", "9999"])
async def test_an_instant_that_some_zone_cannot_spell_is_refused(registry, year):
    account, token = await registry.issuer()
    for query in (f"registered_from={year}-01-01", f"registered_to={year}-12-31", f"registered_to={year}-12-31T23:59:59-14:00"):
        assert (await registry.call("GET", f"certificates?{query}", token)).status == 422
    assert (await registry.call("GET", f"audit-trail?since={year}-01-01T00:00:00%2B14:00", token)).status == 422
    operator, own = await registry.operator("issuer", account)
    new = {"name": "x", "expires_at": f"{year}-12-31T23:59:59-14:00"}
    assert (await registry.call("POST", f"operators/{operator}/tokens", own, new)).status == 422


async def test_ids_that_are_none_and_paths_that_lead_nowhere_are_refused(registry):
    _, token = await registry.operator("administrator")
    for path, status in (
        ("accounts/x", 422),
        (f"accounts/{uuid4()}", 404),
        ("accounts/", 404),
        ("nowhere", 404),
        ("operators/00000000-0000-0000-0000-000000000000", 404),
        ("/ca/authorisations/x", 400),
        ("/ca/authorisations/%00", 400),
    ):
        assert (await registry.call("GET", path, token)).status == status, path
    assert (await registry.call("DELETE", "accounts", token)).status == 405


@pytest.mark.parametrize("step", ["revocations", "renewals"])
async def test_a_step_without_a_body_takes_none_or_an_empty_one(registry, step):
    account, token = await registry.issuer()
    path = f"certificates/{await registry.certificate(account)}/{step}"
    assert (await registry.call("POST", path, token, {})).status == 201
    assert (await registry.call("POST", path, token)).status == 201
    assert (await registry.call("POST", path, token, {"force": True})).status == 422


async def test_a_partner_who_brought_an_account_must_be_one(registry):
    _, token = await registry.operator("administrator")
    partner, _ = await registry.operator("partner")
    assert (await registry.call("POST", "accounts", token, {"name": "x", "brought_by": str(partner)})).status == 201
    assert (await registry.call("POST", "accounts", token, {"name": "x", "brought_by": str(uuid4())})).status == 422


async def test_an_empty_change_changes_and_tells_nothing(registry):
    from sqlalchemy import text

    account, token = await registry.issuer()
    for path in (
        f"certificates/{await registry.certificate(account)}",
        f"operators/{(await registry.operator('issuer', account))[0]}",
    ):
        assert (await registry.call("PATCH", path, token, {})).status == 200
    async with registry.sessions() as session:
        assert await session.scalar(text("SELECT count(*) FROM outbox")) == 0
