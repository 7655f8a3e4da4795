from uuid import uuid4

import pytest

pytestmark = pytest.mark.integration


async def test_a_profile_is_kept_listed_and_changed_and_never_shows_its_secret(connector):
    made = await connector.profile(policy={"usage_limit": 10})
    status, shown = await connector.call("GET", f"certificate-authorities/{made}")
    assert (status, shown["policy"]["usage_limit"], shown["status"]) == (200, 10, "active")
    status, changed = await connector.call("PATCH", f"certificate-authorities/{made}", {"name": "Other", "status": "inactive"})
    assert (status, changed["name"], changed["status"], changed["client_id"]) == (200, "Other", "inactive", "sinete")
    _, listed = await connector.call("GET", "certificate-authorities")
    assert [item["id"] for item in listed["items"]] == [made]
    assert "canary-client-secret" not in f"{shown}{changed}{listed}"
    assert b"canary-client-secret" not in await connector.everything()


@pytest.mark.parametrize(
    ("field", "url"),
    [
        ("issuer", "http://ca.example/a"),
        ("issuer", "https://ca@169.254.169.254/"),
        ("csc_url", "https://2130706433/csc/v2"),
        ("csc_url", "https://[::ffff:127.0.0.1]/csc/v2"),
        ("csc_url", "https://ca.example./csc/v2"),
        ("client_account_url", "javascript:alert(1)"),
    ],
)
async def test_a_forbidden_address_is_refused_with_field_and_rule_and_nothing_is_kept(connector, field, url):
    body = {"name": "X", "issuer": connector.ca.issuer, "csc_url": f"{connector.ca.issuer}/csc/v2", "client_id": "sinete"}
    status, problem = await connector.call(
        "POST", "certificate-authorities", {**body, "client_secret": "canary-client-secret", field: url}
    )
    assert status == 422
    assert field in str(problem)
    assert "canary" not in str(problem)
    assert (await connector.call("GET", "certificate-authorities"))[1] == {"items": []}


async def test_a_link_is_checked_when_it_is_changed_too(connector):
    made = await connector.profile()
    change = {"client_account_url": "javascript:alert(1)"}
    status, problem = await connector.call("PATCH", f"certificate-authorities/{made}", change)
    assert (status, problem["field"]) == (422, "client_account_url")


async def test_what_is_not_known_is_a_404(connector):
    for method, path, body in (
        ("GET", f"certificate-authorities/{uuid4()}", None),
        ("PATCH", f"certificate-authorities/{uuid4()}", {"name": "Y"}),
        ("GET", f"authorisations/{uuid4()}", None),
        ("POST", f"authorisations/{uuid4()}/callback", {"state": "x", "code": "y"}),
        ("POST", f"certificates/{uuid4()}/revocation", {"operator_id": str(uuid4())}),
    ):
        assert (await connector.call(method, path, body))[0] == 404, path


async def test_the_gateway_may_sign_and_nothing_else_and_the_registry_may_not_sign(connector):
    gateway, item, by = "signing-gateway", {"items": []}, {"operator_id": str(uuid4())}
    assert (await connector.call("GET", "certificate-authorities", service=gateway))[0] == 403
    assert (await connector.call("POST", f"certificates/{uuid4()}/revocation", by, service=gateway))[0] == 403
    assert (await connector.call("POST", "signatures", item))[0] == 403
    assert (await connector.call("GET", "certificate-authorities", service="notifier"))[0] == 403
    assert (await connector.client.get("/internal/v1/certificate-authorities")).status_code == 401
