"""The one-use ticket, the binding cookie, the callback: RFC 6749 §10.12, RFC 9700 §4.7, ASVS 10.2.1."""

import asyncio
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest

from hosting.database import open_engine, sessions_of

pytestmark = pytest.mark.integration
CODE = "a-code-that-is-a-secret"


class Walker:
    """An operator with a browser: begins a walk, opens the ticket, comes back."""

    async def begin(self, registry, kind="renewal"):
        self.registry = registry
        self.account, self.token = await registry.issuer()
        if kind == "renewal":
            self.certificate = await registry.certificate(self.account)
            begun = await registry.call("POST", f"certificates/{self.certificate}/renewals", self.token)
            self.path = f"renewals/{begun.json['id']}"
        else:
            new = {"alias": "Invoices", "certificate_authority_id": str(registry.connector.authority.id)}
            begun = await registry.call("POST", "certificates", self.token, new)
            self.certificate = begun.json["id"]
            self.path = f"registrations/{begun.json['registration_id']}"
        assert begun.status == 201, begun.text
        self.ticket = urlsplit(begun.json["authorization_url"]).path
        assert begun.json["authorization_url"].startswith(registry.url)
        return self

    async def leave(self):
        answer = await self.registry.call("GET", self.ticket)
        assert answer.status == 302, answer.text
        self.state = parse_qs(urlsplit(answer.headers["Location"]).query)["state"][0]
        name, _, rest = answer.headers["Set-Cookie"].partition("=")
        self.cookie_header = rest
        self.cookies = {name: rest.partition(";")[0]}
        return self

    async def come_back(self, query=None, cookies=None):
        query = query if query is not None else f"state={self.state}&code={CODE}&iss=http://localhost:7405/a"
        return await self.registry.call("GET", f"/ca/callback?{query}", cookies=self.cookies if cookies is None else cookies)

    async def status(self):
        return (await self.registry.call("GET", self.path, self.token)).json

    def told(self):
        return self.registry.connector.times("/callback")


@pytest.fixture
async def walker(registry):
    return await (await Walker().begin(registry)).leave()


async def test_a_renewal_ends_on_a_page_with_the_new_end_in_the_accounts_zone(walker):
    walker.registry.connector.completes(epoch=2)
    answer = await walker.come_back()
    assert answer.status == 200
    assert "Renewal completed" in answer.text
    assert "Certificate access expiration date" in answer.text
    assert "2027-01-20 09:00:00 (Europe/Lisbon)" in answer.text
    assert "stay inactive" in answer.text
    assert (await walker.status())["status"] == "completed"


async def test_the_binding_cookie_is_for_this_browser_alone(walker):
    kept = walker.cookie_header.lower()
    assert all(word in kept for word in ("httponly", "samesite=lax", "path=/"))
    assert "domain" not in kept
    assert len(next(iter(walker.cookies.values()))) >= 43


async def test_with_https_the_cookie_is_secure_and_bound_to_the_host(walker, registry):
    from dataclasses import replace
    from uuid import uuid4

    from certificate_registry.routes.callback import _cookie_name

    assert _cookie_name(replace(registry.parts, public_url="https://sinete.example"), uuid4()).startswith("__Host-")


async def test_while_the_database_is_away_people_get_a_page(registry):
    from dataclasses import replace

    from certificate_registry.routes.callback import go_to_ca

    away = sessions_of(open_engine("postgresql://nobody@127.0.0.1:1/nothing"))
    answer = await go_to_ca(replace(registry.parts, sessions=away), "a-ticket")
    assert (answer.status_code, answer.media_type) == (503, "text/html")


async def test_a_ticket_is_good_once(walker):
    again = await walker.registry.call("GET", walker.ticket)
    assert (again.status, again.headers["Content-Type"]) == (400, "text/html; charset=utf-8")
    assert (await walker.status())["authorization_url"] is None


async def test_a_ticket_is_good_for_two_minutes(registry):
    walker = await Walker().begin(registry)
    registry.clock.now += timedelta(minutes=2) - timedelta(microseconds=1)
    assert (await walker.status())["authorization_url"].endswith(walker.ticket)
    registry.clock.now += timedelta(microseconds=1)
    assert (await registry.call("GET", walker.ticket)).status == 400
    assert (await walker.status())["authorization_url"] is None


async def test_two_browsers_with_one_ticket_and_one_of_them_leaves(registry):
    walker = await Walker().begin(registry)
    answers = await asyncio.gather(*(registry.call("GET", walker.ticket) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [302, 400, 400, 400, 400]


@pytest.mark.parametrize(
    "query",
    [
        "",
        f"code={CODE}",
        f"state=&code={CODE}",
        f"state=altered&code={CODE}",
        "state={state}",
        f"state={{state}}x&code={CODE}",
        f"state={{state}}&state={{state}}&code={CODE}",
        f"state={{state}}&code={CODE}&code=another",
        f"state={'s' * 256}&code={CODE}",
        f"state=%00&code={CODE}",
        f"state={{state}}&error={'e' * 101}",
        "return_url=https://evil.example",
    ],
)
async def test_a_missing_or_altered_answer_changes_nothing(walker, query):
    answer = await walker.come_back(query.format(state=walker.state))
    assert answer.status == 400
    assert "Nothing was changed" in answer.text
    assert walker.told() == 0
    walker.registry.connector.completes()
    assert (await walker.come_back()).status == 200


@pytest.mark.parametrize("cookies", [{}, {"sinete-walk-0": "x"}, "other value"])
async def test_another_browser_changes_nothing_and_the_right_one_still_can(walker, cookies):
    if cookies == "other value":
        cookies = dict.fromkeys(walker.cookies, "x" * 43)
    assert (await walker.come_back(cookies=cookies)).status == 400
    assert walker.told() == 0
    walker.registry.connector.completes()
    assert (await walker.come_back()).status == 200


async def test_a_replayed_answer_changes_nothing(walker):
    walker.registry.connector.completes()
    answers = await asyncio.gather(*(walker.come_back() for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [200, 400, 400, 400, 400]
    assert (await walker.come_back()).status == 400
    assert walker.told() == 1


@pytest.mark.parametrize("who", ["account", "operator"])
async def test_nobody_comes_back_for_a_suspended_account_or_as_an_inactive_operator(walker, who):
    registry = walker.registry
    _, administrator = await registry.operator("administrator")
    operator = (await registry.call("GET", "operators?role=issuer", administrator)).json["items"][0]["id"]
    path, status = (f"accounts/{walker.account}", "suspended") if who == "account" else (f"operators/{operator}", "inactive")
    assert (await registry.call("PATCH", path, administrator, {"status": status})).status == 200
    assert (await walker.come_back()).status == 400
    assert walker.told() == 0


async def test_no_return_address_is_honoured(walker):
    walker.registry.connector.completes()
    answer = await walker.come_back(f"state={walker.state}&code={CODE}&redirect_uri=https://evil.example&next=//evil.example")
    assert answer.status == 200
    assert "evil" not in answer.text
    assert "Location" not in answer.headers


async def test_two_walks_in_one_browser_do_not_hinder_each_other(registry):
    first = await (await Walker().begin(registry)).leave()
    second = await (await Walker().begin(registry)).leave()
    both = {**first.cookies, **second.cookies}
    registry.connector.completes()
    assert (await first.come_back(cookies=both)).status == 200
    assert (await second.come_back(cookies=both)).status == 200


async def test_a_cancelled_walk_says_so_and_leaves_everything_as_it_was(walker):
    walker.registry.connector.next = {"status": "cancelled", "reason": "access-denied"}
    answer = await walker.come_back(f"state={walker.state}&error=access_denied")
    assert (answer.status, "Renewal cancelled" in answer.text) == (200, True)
    assert (await walker.status())["status"] == "cancelled"


async def test_a_failed_walk_says_what_to_do_and_whom_to_ask(walker):
    walker.registry.connector.next = {"status": "failed", "reason": "wrong-account"}
    answer = await walker.come_back()
    assert answer.status == 200
    for said in ("Renewal failed", "Another account or key", "support@ca.example", 'href="https://ca.example/account"'):
        assert said in answer.text


async def test_a_page_holds_no_script_and_its_only_style_is_the_one_its_policy_names(walker):
    walker.registry.connector.completes()
    answer = await walker.come_back()
    policy = answer.headers["Content-Security-Policy"]
    assert "<script" not in answer.text
    assert "default-src 'none'" in policy
    style = answer.text.partition("<style>")[2].partition("</style>")[0]
    from base64 import b64encode
    from hashlib import sha256

    assert f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" in policy


async def test_an_alias_with_markup_is_shown_as_text(registry):
    walker = await Walker().begin(registry)
    await registry.call("PATCH", f"certificates/{walker.certificate}", walker.token, {"alias": "<img src=x onerror=alert(1)>"})
    await walker.leave()
    registry.connector.completes()
    assert "<img" not in (await walker.come_back()).text


async def test_a_connector_that_restarts_is_told_again(walker, monkeypatch):
    monkeypatch.setattr("certificate_registry.routes.callback.PATIENCE_S", 0.01)
    walker.registry.connector.completes()
    walker.registry.connector.mishaps = [0, 503]
    assert (await walker.come_back()).status == 200
    assert (await walker.status())["status"] == "completed"


async def test_a_registration_offers_credentials_and_is_listed_once_it_is_completed(registry, make):
    walker = await (await Walker().begin(registry, "registration")).leave()
    registry.connector.offers("A-SEAL-1", "A-SEAL-2", taken="A-SEAL-1")
    answer = await walker.come_back()
    assert (answer.status, "Choose the credential" in answer.text) == (200, True)
    status = await walker.status()
    assert (status["status"], [offer["credential_id"] for offer in status["offered"]]) == (
        "awaiting-credential",
        ["A-SEAL-2", "A-SEAL-1"],
    )
    listed = f"certificates/{walker.certificate}"
    assert (await registry.call("GET", "certificates", walker.token)).json["total"] == 0
    assert (await registry.call("GET", listed, walker.token)).status == 404
    registry.connector.completes(make.facts("A-SEAL-2"))
    chosen = await registry.call("POST", f"{walker.path}/credential", walker.token, {"credential_id": "A-SEAL-2"})
    assert (chosen.status, chosen.json["status"]) == (200, "completed")
    certificate = (await registry.call("GET", listed, walker.token)).json
    assert (certificate["credential_id"], certificate["alias"], certificate["status"]) == ("A-SEAL-2", "Invoices", "active")
    assert certificate["ca_access"]["state"] == "none"
    await registry.hear(make.grant(UUID(walker.certificate)))
    assert (await registry.call("GET", listed, walker.token)).json["ca_access"]["state"] == "active"


async def test_a_mails_link_leads_to_a_page_that_says_the_same_whether_or_not_there_is_such_a_certificate(registry):
    account, _ = await registry.issuer()
    known = await registry.certificate(account)
    unknown = UUID(int=1)
    pages = [await registry.call("GET", f"/certificates/{one}") for one in (known, unknown)]
    assert [page.status for page in pages] == [200, 200]
    assert pages[0].text.replace(str(known), "") == pages[1].text.replace(str(unknown), "")
    assert "script" not in pages[0].text
    assert (await registry.call("GET", "/certificates/no-id")).status == 422
    assert (await registry.call("GET", "/")).status == 200
