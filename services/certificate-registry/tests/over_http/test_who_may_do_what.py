"""The role table of the domain, endpoint by endpoint, over HTTP."""

from uuid import uuid4

import pytest

pytestmark = pytest.mark.integration

LISTS = {
    # path: administrator, partner, issuer, auditor
    "accounts": (200, 200, 200, 200),
    "operators": (200, 200, 200, 200),
    "certificates": (200, 404, 200, 200),
    "client-services": (200, 200, 200, 200),
    "client-certificates": (200, 200, 200, 200),
    "certificate-authorities": (200, 404, 404, 200),
    "notices": (200, 200, 200, 200),
    "audit-trail": (200, 200, 200, 200),
    "openapi.json": (200, 200, 200, 200),
}
ROLES = ("administrator", "partner", "issuer", "auditor")


class World:
    """Two accounts, one of them brought by the partner, with an operator of each role; the issuer is of the first."""

    async def begin(self, registry):
        self.registry = registry
        self.partner_id, partner = await registry.operator("partner")
        self.account = await registry.account(brought_by=self.partner_id)
        self.other = await registry.account()
        self.issuer_id, issuer = await registry.operator("issuer", self.account)
        self.colleague, _ = await registry.operator("issuer", self.account)
        self.stranger, self.stranger_token = await registry.operator("issuer", self.other)
        self.auditor_id, auditor = await registry.operator("auditor")
        self.administrator_id, administrator = await registry.operator("administrator")
        self.tokens = {"administrator": administrator, "partner": partner, "issuer": issuer, "auditor": auditor}
        self.certificate = await registry.certificate(self.account)
        made = await registry.call(
            "POST", "client-services", administrator, {"certificate_id": str(self.certificate), "name": "ERP"}
        )
        assert made.status == 201, made.text
        self.service = made.json["id"]
        return self

    async def statuses(self, method, path, json=None):
        return tuple([(await self.registry.call(method, path, self.tokens[role], json)).status for role in ROLES])


@pytest.fixture
async def world(registry):
    return await World().begin(registry)


async def test_lists_answer_each_role_as_the_table_says(world):
    assert {path: await world.statuses("GET", path) for path in LISTS} == LISTS


async def test_one_reads_what_one_sees_and_the_rest_does_not_exist(world):
    assert await world.statuses("GET", f"accounts/{world.account}") == (200, 200, 200, 200)
    assert await world.statuses("GET", f"accounts/{world.other}") == (200, 404, 404, 200)
    assert await world.statuses("GET", f"operators/{world.colleague}") == (200, 200, 200, 200)
    assert await world.statuses("GET", f"operators/{world.stranger}") == (200, 404, 404, 200)
    assert await world.statuses("GET", f"operators/{world.partner_id}") == (200, 200, 404, 200)
    assert await world.statuses("GET", f"certificates/{world.certificate}") == (200, 404, 200, 200)
    assert await world.statuses("GET", f"client-services/{world.service}") == (200, 200, 200, 200)
    assert await world.statuses("GET", f"client-services/{world.service}/usage") == (200, 200, 200, 200)
    assert await world.statuses("GET", f"certificate-authorities/{world.registry.connector.authority.id}") == (200, 404, 404, 200)


async def test_one_changes_what_the_table_lets_one_change(world):
    name = {"name": "New name"}
    assert await world.statuses("PATCH", f"accounts/{world.account}", name) == (200, 200, 403, 403)
    assert await world.statuses("PATCH", f"accounts/{world.other}", name) == (200, 404, 404, 403)
    assert await world.statuses("PATCH", f"operators/{world.colleague}", name) == (200, 200, 200, 403)
    assert await world.statuses("PATCH", f"operators/{world.stranger}", name) == (200, 404, 404, 403)
    assert await world.statuses("PATCH", f"certificates/{world.certificate}", {"alias": "B"}) == (403, 404, 200, 403)
    assert await world.statuses("PATCH", f"client-services/{world.service}", name) == (200, 200, 200, 403)
    assert await world.statuses("POST", f"client-services/{world.service}/secret") == (200, 200, 200, 403)
    authority = f"certificate-authorities/{world.registry.connector.authority.id}"
    assert await world.statuses("PATCH", authority, name) == (200, 404, 404, 403)
    assert await world.statuses("POST", f"certificates/{world.certificate}/renewals") == (403, 404, 201, 403)
    assert await world.statuses("POST", f"certificates/{world.certificate}/revocations") == (403, 404, 201, 403)


async def test_one_creates_what_the_table_lets_one_create(world):
    assert await world.statuses("POST", "accounts", {"name": "New"}) == (201, 201, 403, 403)
    service = {"name": "New", "certificate_id": str(world.certificate)}
    assert await world.statuses("POST", "client-services", service) == (201, 201, 201, 403)
    certificate = {"alias": "New", "certificate_authority_id": str(world.registry.connector.authority.id)}
    assert await world.statuses("POST", "certificates", certificate) == (403, 404, 201, 403)
    for role, status in zip(ROLES, (201, 201, 201, 403), strict=True):
        new = {"name": "N", "email": f"{role}@exemplo.example", "role": "issuer", "account_id": str(world.account)}
        assert (await world.registry.call("POST", "operators", world.tokens[role], new)).status == status


async def test_another_accounts_ids_do_not_exist_anywhere(world):
    token, call = world.stranger_token, world.registry.call
    walk = (await call("POST", f"certificates/{world.certificate}/renewals", world.tokens["issuer"])).json["id"]
    for method, path, json in (
        ("GET", f"certificates/{world.certificate}", None),
        ("GET", f"certificates/{world.certificate}/chain.p7b", None),
        ("PATCH", f"certificates/{world.certificate}", {"alias": "x"}),
        ("POST", f"certificates/{world.certificate}/renewals", None),
        ("POST", f"certificates/{world.certificate}/revocations", None),
        ("GET", f"renewals/{walk}", None),
        ("POST", f"renewals/{walk}/authorisation", {"otp": "123456"}),
        ("POST", f"renewals/{walk}/cancellation", None),
        ("GET", f"registrations/{walk}", None),
        ("POST", "client-services", {"name": "x", "certificate_id": str(world.certificate)}),
        ("PATCH", f"client-services/{world.service}", {"name": "x"}),
        ("POST", f"client-services/{world.service}/secret", None),
        ("POST", f"operators/{world.issuer_id}/tokens", {"name": "x"}),
    ):
        answer = await call(method, path, token, json)
        assert (answer.status, answer.json["type"]) == (404, "not-found"), path
    assert not (await call("GET", "certificates", token)).json["items"]


async def test_nobody_without_a_token_gets_anywhere(world):
    for path in (*LISTS, f"accounts/{uuid4()}"):
        for token in (None, "sinete_op_wrong"):
            answer = await world.registry.call("GET", path, token)
            assert (answer.status, answer.json["type"]) == (401, "token-refused")
            assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_only_administrators_give_other_roles_and_set_an_accounts_status(world):
    new = {"name": "N", "email": "n@exemplo.example", "role": "administrator"}
    assert (await world.registry.call("POST", "operators", world.tokens["issuer"], new)).status == 403
    answer = await world.registry.call("PATCH", f"accounts/{world.account}", world.tokens["partner"], {"status": "blocked"})
    assert answer.status == 403


async def test_a_denial_is_kept_in_the_audit_trail(world):
    await world.registry.call("PATCH", f"accounts/{world.account}", world.tokens["issuer"], {"name": "x"})
    kept = await world.registry.call("GET", "audit-trail?action=denied", world.tokens["administrator"])
    assert [item["actor"] for item in kept.json["items"]] == [str(world.issuer_id)]


async def test_a_suspended_accounts_operators_read_only_and_nobody_renews(world):
    call, issuer = world.registry.call, world.tokens["issuer"]
    assert (
        await call("PATCH", f"accounts/{world.account}", world.tokens["administrator"], {"status": "suspended"})
    ).status == 200
    assert (await call("GET", f"certificates/{world.certificate}", issuer)).status == 200
    for method, path, json in (
        ("PATCH", f"certificates/{world.certificate}", {"alias": "x"}),
        ("POST", f"certificates/{world.certificate}/renewals", None),
        ("POST", f"certificates/{world.certificate}/revocations", None),
        ("PATCH", f"client-services/{world.service}", {"status": "inactive"}),
        ("POST", "client-services", {"name": "x", "certificate_id": str(world.certificate)}),
        ("PATCH", f"operators/{world.colleague}", {"name": "x"}),
        ("POST", "certificates", {"alias": "x", "certificate_authority_id": str(uuid4())}),
    ):
        answer = await call(method, path, issuer, json)
        assert (answer.status, answer.json["type"]) == (409, "account-suspended"), path
    assert (await call("PATCH", f"accounts/{world.account}", world.tokens["partner"], {"name": "x"})).status == 409
    assert (await call("PATCH", f"accounts/{world.account}", world.tokens["administrator"], {"status": "active"})).status == 200
    assert (await call("POST", f"certificates/{world.certificate}/renewals", issuer)).status == 201
