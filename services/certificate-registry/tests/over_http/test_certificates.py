from datetime import UTC, datetime
from uuid import uuid4

import pytest

pytestmark = pytest.mark.integration


@pytest.fixture
async def listed(registry):
    """Three certificates of one account in Lisbon, and one of another."""
    account, token = await registry.issuer()
    for alias, at in (
        ("Invoices", datetime(2026, 7, 1, 22, 59, tzinfo=UTC)),  # 23:59 in Lisbon
        ("invoices 2", datetime(2026, 7, 1, 23, 0, tzinfo=UTC)),  # midnight in Lisbon
        ("100% Contracts", datetime(2026, 7, 3, 12, 0, tzinfo=UTC)),
    ):
        await registry.certificate(account, alias=alias, at=at)
    await registry.certificate(await registry.account(), alias="Invoices")
    return token


@pytest.mark.parametrize(
    ("query", "aliases"),
    [
        ("", ["100% Contracts", "invoices 2", "Invoices"]),
        ("alias=INVOICES", ["invoices 2", "Invoices"]),
        ("alias=0%25", ["100% Contracts"]),
        ("alias=_", []),
        ("registered_from=2026-07-02", ["100% Contracts", "invoices 2"]),
        ("registered_to=2026-07-01", ["Invoices"]),
        ("registered_to=2026-07-03", ["100% Contracts", "invoices 2", "Invoices"]),
        ("registered_from=2026-07-01T23:00:00Z&registered_to=2026-07-01T23:00:00Z", ["invoices 2"]),
        ("registered_from=2026-07-02T00:00:00%2B01:00", ["100% Contracts", "invoices 2"]),
        ("status=active&page_size=1&page=2", ["invoices 2"]),
        ("status=inactive", []),
    ],
)
async def test_the_list_is_filtered_by_alias_and_registration_date(registry, listed, query, aliases):
    answer = await registry.call("GET", f"certificates?{query}", listed)
    assert [item["alias"] for item in answer.json["items"]] == aliases


@pytest.mark.parametrize(
    "query", ["registered_from=yesterday", "registered_from=2026-07-01T10:00:00", "alias=%0A", "page_size=201"]
)
async def test_a_wrong_filter_is_named(registry, listed, query):
    answer = await registry.call("GET", f"certificates?{query}", listed)
    assert answer.status == 422
    assert answer.json["errors"][0]["field"].startswith(query.partition("=")[0])


async def test_alias_scope_and_status_are_edited_and_nothing_else(registry):
    account, token = await registry.issuer()
    path = f"certificates/{await registry.certificate(account)}"
    changed = await registry.call("PATCH", path, token, {"alias": "New", "scope_of_use": "Billing", "status": "inactive"})
    assert (changed.json["alias"], changed.json["scope_of_use"], changed.json["status"]) == ("New", "Billing", "inactive")
    for field in ("subject", "credential_id", "account_id", "ca_access", "id"):
        assert (await registry.call("PATCH", path, token, {field: str(uuid4())})).status == 422


async def test_a_deleted_certificate_is_listed_only_when_asked_for_and_cannot_be_renewed(registry, make):
    account, token = await registry.issuer()
    certificate = await registry.certificate(account)
    path = f"certificates/{certificate}"
    await registry.hear(make.grant(certificate))
    made = (await registry.call("POST", "client-services", token, {"certificate_id": str(certificate), "name": "ERP"})).json
    assert made["status"] == "active"
    assert (await registry.call("PATCH", path, token, {"status": "deleted"})).status == 200
    assert (await registry.call("GET", "certificates", token)).json["total"] == 0
    assert (await registry.call("GET", "certificates?status=deleted", token)).json["total"] == 1
    renewal = await registry.call("POST", f"{path}/renewals", token)
    assert (renewal.status, renewal.json["type"]) == (409, "certificate-deleted")
    service = (await registry.call("GET", f"client-services/{made['id']}", token)).json
    assert (service["status"], service["reason"]) == ("inactive", "operator")


async def test_access_can_be_given_up_and_who_did_it_is_kept(registry):
    account, token = await registry.issuer()
    certificate = await registry.certificate(account)
    assert (await registry.call("POST", f"certificates/{certificate}/revocations", token)).status == 201
    assert registry.connector.times(f"/certificates/{certificate}/revocation") == 1
    kept = await registry.call("GET", f"audit-trail?object_id={certificate}", token)
    assert [item["action"] for item in kept.json["items"]] == ["revoked", "revocation-asked"]


async def test_an_issuer_sees_at_which_cas_it_can_register_and_nothing_else_of_them(registry):
    _, token = await registry.issuer()
    choices = (await registry.call("GET", "certificate-authorities/choices", token)).json
    assert [set(choice) for choice in choices] == [{"id", "name", "client_account_url", "support_contact"}]
