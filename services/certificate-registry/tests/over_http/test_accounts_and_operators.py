import asyncio
from datetime import timedelta
from io import BytesIO

import pytest
from sqlalchemy import select

from certificate_registry.storage.tables import ApiTokenRow, OperatorRow
from contracts.ca_connector import AccessPolicy

pytestmark = pytest.mark.integration
ANY_ID = "6f0a4a0e-0000-4000-8000-000000000001"  # the same in every worker, which names tests by it


async def test_lists_are_paged_and_filtered(registry):
    _, token = await registry.operator("administrator")
    for name in ("Alfa", "Beta", "100%_sure"):
        assert (await registry.call("POST", "accounts", token, {"name": name})).status == 201
    first = (await registry.call("GET", "accounts?page=1&page_size=2", token)).json
    second = (await registry.call("GET", "accounts?page=2&page_size=2", token)).json
    assert (first["page"], first["page_size"], first["total"]) == (1, 2, 3)
    assert [item["name"] for item in first["items"] + second["items"]] == ["100%_sure", "Alfa", "Beta"]
    assert [item["name"] for item in (await registry.call("GET", "accounts?name=%25_", token)).json["items"]] == ["100%_sure"]
    assert (await registry.call("GET", "accounts?page=9", token)).json["items"] == []
    assert (await registry.call("GET", "accounts", token)).json["page_size"] == 25


@pytest.mark.parametrize(
    "query", ["page=0", "page=-1", "page=x", "page_size=0", "page_size=201", "pages=1", "name=%00", "status=x"]
)
async def test_a_query_that_is_not_known_or_out_of_bounds_is_named(registry, query):
    _, token = await registry.operator("administrator")
    answer = await registry.call("GET", f"accounts?{query}", token)
    assert answer.status == 422
    assert answer.json["errors"][0]["field"] == query.partition("=")[0]


async def test_an_operator_without_a_name_is_called_by_the_email(registry):
    _, token = await registry.issuer()
    made = await registry.call("POST", "operators", token, {"email": "ana.sousa@exemplo.example", "role": "issuer"})
    assert (made.status, made.json["name"]) == (201, "ana.sousa")


async def test_endpoints_without_a_query_refuse_one(registry):
    account_id, token = await registry.issuer()
    answer = await registry.call("GET", f"accounts/{account_id}?verbose=1", token)
    assert (answer.status, answer.json["type"]) == (422, "invalid-input")
    assert "verbose" in answer.json["detail"]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("accounts", {"name": "x", "id": ANY_ID}, "id"),
        ("accounts", {"name": "x", "version": 9}, "version"),
        ("accounts", {"name": "a\r\nb"}, "name"),
        ("accounts", {"name": ""}, "name"),
        ("accounts", {"name": "x" * 201}, "name"),
        ("accounts", {"name": "x", "zone": "Europe/Lisboa"}, "zone"),
        ("accounts", {"name": "x", "notice_hour": 24}, "notice_hour"),
        ("accounts", {"name": "x", "language": "de"}, "language"),
        ("accounts", {}, "name"),
        ("operators", {"name": "x", "email": "a@b"}, "email"),
        ("operators", {"name": "x", "email": "a@b.example", "password_hash": "x"}, "password_hash"),
        ("operators", {"name": "x", "email": "a@b.example", "password": "short"}, "password"),
        ("operators", {"name": "x", "email": "a@b.example", "mobile": "123"}, "mobile"),
        ("client-services", {"name": "x", "certificate_id": ANY_ID, "status": "active"}, "status"),
        ("certificate-authorities", {"name": "x", "status": "inactive"}, "status"),
        ("certificate-authorities", {"name": "x", "policy": {"lifetime_days": 60}}, "policy.lifetime_days"),
        ("certificate-authorities", {"name": "x", "policy": {"lifetime_s": 7_200}}, "policy.warn_before_s"),
        ("certificate-authorities", {"name": "x", "policy": {"usage_limit": True}}, "policy.usage_limit"),
        ("certificate-authorities", {"name": "a\x00b"}, "name"),
        ("certificate-authorities", {"name": "x", "client_id": "a\nb"}, "client_id"),
        ("certificate-authorities", {"name": "x", "support_contact": "a\x00b"}, "support_contact"),
        (f"registrations/{ANY_ID}/credential", {"credential_id": "x", "account_id": "y"}, "account_id"),
    ],
)
async def test_what_is_not_known_or_wrongly_spelt_is_refused_by_name(registry, path, body, field):
    _, token = await registry.operator("administrator")
    answer = await registry.call("POST", path, token, body)
    assert answer.status == 422
    assert field in [fault["field"] for fault in answer.json["errors"]]


async def test_malformed_json_and_a_huge_body_are_refused(registry):
    _, token = await registry.operator("administrator")
    headers = {"Content-Type": "application/json"}
    assert (await registry.call("POST", "accounts", token, data=b'{"name": ', headers=headers)).status == 400
    assert (await registry.call("POST", "accounts", token, data=BytesIO(b"x" * 2_000_000), headers=headers)).status == 413


async def test_an_email_belongs_to_one_operator_however_it_is_written(registry):
    account_id, token = await registry.issuer()
    new = {"name": "Ana", "email": "Ana@exemplo.example", "account_id": str(account_id)}
    assert (await registry.call("POST", "operators", token, new)).status == 201
    answer = await registry.call("POST", "operators", token, {**new, "email": "ANA@Exemplo.example"})
    assert (answer.status, answer.json["type"]) == (409, "email-taken")


async def test_an_operator_logs_in_for_eight_hours(registry):
    operator_id, _ = await registry.operator("administrator", password="correct horse battery")
    login = {"email": (await registry.email_of(operator_id)).upper(), "password": "correct horse battery"}
    made = await registry.call("POST", "tokens", None, login)
    assert made.status == 201
    token = made.json["token"]
    assert token.startswith("sinete_op_")
    assert (await registry.call("GET", "accounts", token)).status == 200
    registry.clock.now += timedelta(hours=8)
    assert (await registry.call("GET", "accounts", token)).status == 401


async def test_an_unknown_a_wrong_an_inactive_and_a_locked_login_are_answered_alike(registry):
    operator_id, _ = await registry.operator("auditor", password="correct horse battery")
    known = {"email": await registry.email_of(operator_id), "password": "wrong"}
    answers = [await registry.call("POST", "tokens", None, known) for _ in range(6)]
    answers.append(await registry.call("POST", "tokens", None, {**known, "password": "correct horse battery"}))
    answers.append(await registry.call("POST", "tokens", None, {**known, "email": "nobody@exemplo.example"}))
    answers.append(await registry.call("POST", "tokens", None, {**known, "email": "\x00"}))
    assert {answer.status for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    registry.clock.now += timedelta(minutes=15)
    assert (await registry.call("POST", "tokens", None, {**known, "password": "correct horse battery"})).status == 201


async def test_of_many_wrong_passwords_at_once_five_are_compared(registry):
    operator_id, _ = await registry.operator("auditor", password="correct horse battery")
    compared = []
    same = registry.parts.passwords._same
    registry.parts.passwords._same = lambda hashed, password: compared.append(hashed) or same(hashed, password)
    wrong = {"email": await registry.email_of(operator_id), "password": "wrong"}
    await asyncio.gather(*(registry.call("POST", "tokens", None, wrong) for _ in range(20)))
    async with registry.sessions() as session:
        hashed = (await session.get_one(OperatorRow, operator_id)).password_hash
    assert compared.count(hashed) == 5


async def test_only_digests_of_tokens_are_kept_and_a_withdrawn_one_holds_no_longer(registry):
    operator_id, own = await registry.operator("administrator")
    made = (await registry.call("POST", f"operators/{operator_id}/tokens", own, {"name": "ci", "expires_at": None})).json
    async with registry.sessions() as session:
        rows = (await session.scalars(select(ApiTokenRow))).all()
    assert all(made["token"] not in str(vars(row)) for row in rows)
    assert (await registry.call("GET", "accounts", made["token"])).status == 200
    listed = await registry.call("GET", f"operators/{operator_id}/tokens", own)
    assert made["token"] not in listed.text
    assert (await registry.call("DELETE", f"operators/{operator_id}/tokens/{made['id']}", own)).status == 204
    assert (await registry.call("GET", "accounts", made["token"])).status == 401


async def test_an_inactive_operators_token_holds_no_longer(registry):
    account_id, token = await registry.issuer()
    other, other_token = await registry.operator("issuer", account_id)
    assert (await registry.call("PATCH", f"operators/{other}", token, {"status": "inactive"})).json["status"] == "inactive"
    assert (await registry.call("GET", "certificates", other_token)).status == 401


async def test_deleting_an_account_takes_all_that_is_its_with_it_and_leaves_no_personal_data(registry):
    account_id, token = await registry.issuer()
    certificate = await registry.certificate(account_id)
    service = {"certificate_id": str(certificate), "name": "ERP"}
    assert (await registry.call("POST", "client-services", token, service)).status == 201
    _, administrator = await registry.operator("administrator")
    deleted = await registry.call("PATCH", f"accounts/{account_id}", administrator, {"status": "deleted"})
    assert (deleted.status, deleted.json["status"], deleted.json["name"]) == (200, "deleted", "")
    assert (await registry.call("GET", "certificates", token)).status == 401
    assert (await registry.call("GET", "certificates", administrator)).json["total"] == 0
    assert (await registry.call("GET", "client-services", administrator)).json["total"] == 0
    async with registry.sessions() as session:
        people = (await session.scalars(select(OperatorRow).where(OperatorRow.account_id == account_id))).all()
    assert [(person.name, person.email, person.mobile) for person in people] == [("", "", None)]


async def test_every_answer_carries_the_protective_headers(registry):
    _, token = await registry.operator("administrator")
    for path in ("accounts", "nowhere", "/nowhere", "/ca/callback", "openapi.json"):
        for known in (token, None):
            headers = (await registry.call("GET", path, known)).headers
            assert headers["Content-Security-Policy"].startswith("default-src 'none'")
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Cache-Control"] == "no-store"
            assert headers["Referrer-Policy"] == "no-referrer"


async def test_what_a_change_of_a_policy_leaves_out_stays_as_it_is(registry):
    _, token = await registry.operator("administrator")
    connector = registry.connector
    few = AccessPolicy(usage_limit=10, warn_above_bp=5_000)
    connector.authority = connector.authority.model_copy(update={"policy": few})
    change = {"policy": {"lifetime_s": 30 * 86_400}}
    answer = await registry.call("PATCH", f"certificate-authorities/{connector.authority.id}", token, change)
    assert answer.status == 200, answer.text
    told = connector.asked[-1][1]["policy"]
    assert told == {**few.model_dump(), "lifetime_s": 30 * 86_400}
