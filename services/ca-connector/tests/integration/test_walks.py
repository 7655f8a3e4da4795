import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import text

from contracts import CaAccessGranted

pytestmark = pytest.mark.integration
DAY_S = 86_400


async def test_a_registration_opens_epoch_one_for_sixty_days_from_the_token_request_and_tells_it_once(connector, clock):
    profile = await connector.profile()
    walk = await connector.registered(profile)
    assert walk["granted"]["epoch"] == 1
    assert walk["facts"]["credential_id"] == "SEAL-1"
    granted = await connector.told(CaAccessGranted)
    assert len(granted) == 1
    assert (granted[0].epoch, granted[0].granted_at, granted[0].usage_limit) == (1, clock.now, 10**9)
    assert (granted[0].expires_at - granted[0].granted_at).total_seconds() == 60 * DAY_S


async def test_beginning_again_with_the_same_id_begins_nothing_more(connector):
    profile, walk_id, certificate = await connector.profile(), str(uuid4()), str(uuid4())
    walks = [await connector.begin(profile, certificate, id=walk_id, operator_id=walk_id) for _ in range(3)]
    assert len({walk["state"] for walk in walks}) == 1
    assert len({walk["authorization_url"] for walk in walks}) == 1


async def test_an_id_that_is_another_walks_is_refused(connector):
    profile = await connector.profile()
    walk = await connector.begin(profile)
    body = {**dict.fromkeys(("certificate_id", "operator_id"), str(uuid4())), "certificate_authority_id": profile}
    status, _ = await connector.call("POST", "authorisations", {"id": walk["id"], "kind": "registration", **body})
    assert status == 409


async def test_a_foreign_state_changes_nothing_and_the_right_one_still_counts(connector):
    profile = await connector.profile()
    walk, other = await connector.begin(profile), await connector.begin(profile)
    status, _ = await connector.returned(walk, state=other["state"])
    assert 400 <= status < 500
    assert (await connector.call("GET", f"authorisations/{walk['id']}"))[1]["status"] == "awaiting-ca"
    assert (await connector.returned(walk))[1]["status"] == "awaiting-credential"


@pytest.mark.parametrize("iss", ["https://evil.example", None, "trailing-slash"])
async def test_a_redirect_of_another_issuer_never_has_its_code_exchanged(connector, iss):
    walk = await connector.begin(await connector.profile())
    told = connector.ca.issuer + "/" if iss == "trailing-slash" else iss
    _, answer = await connector.returned(walk, iss=told)
    assert connector.ca.calls["oauth2/token"] == 0
    assert answer.get("status") != "awaiting-credential"


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        ("access_denied", "cancelled", "access-denied"),
        ("temporarily_unavailable", "failed", "ca-unavailable"),
        ("invalid_scope", "failed", "ca-refused"),
    ],
)
async def test_an_error_brought_back_ends_the_walk_and_grants_nothing(connector, error, status, reason):
    walk = await connector.begin(await connector.profile())
    _, ended = await connector.returned(walk, error=error, code=None)
    assert (ended["status"], ended["reason"]) == (status, reason)
    assert await connector.told() == []


async def test_ten_callbacks_at_once_exchange_the_code_once(connector):
    walk = await connector.begin(await connector.profile())
    back = connector.ca.consent(walk["authorization_url"])
    path = f"authorisations/{walk['id']}/callback"
    answers = await asyncio.gather(*(connector.call("POST", path, back) for _ in range(10)))
    assert {status for status, _ in answers} == {200}
    assert connector.ca.calls["oauth2/token"] == 1
    assert (await connector.call("POST", path, back))[1]["status"] == "awaiting-credential"
    assert connector.ca.calls["oauth2/token"] == 1


async def test_what_is_offered_says_what_cannot_be_chosen_and_why(connector):
    profile = await connector.profile()
    await connector.registered(profile, "SEAL-1")
    _, walk = await connector.returned(await connector.begin(profile))
    offered = {each["credential_id"]: (each["usable"], each["reason"]) for each in walk["offered"]}
    assert offered == {
        "SEAL-1": (False, "credential-taken"),
        "SEAL-2": (True, None),
        "SEAL-OFF": (False, "credential-disabled"),
    }
    for unfit in ("SEAL-1", "SEAL-OFF", "NOT-OFFERED"):
        assert 400 <= (await connector.act(walk, "credential", {"credential_id": unfit}))[0] < 500
    assert (await connector.act(walk, "credential", {"credential_id": "SEAL-2"}))[1]["status"] == "completed"


async def test_a_key_that_another_profile_of_the_same_ca_registered_is_taken(connector):
    await connector.registered(await connector.profile(), "SEAL-1")
    _, walk = await connector.returned(await connector.begin(await connector.profile(policy={"usage_limit": 10})))
    assert {each["credential_id"]: each["reason"] for each in walk["offered"]}["SEAL-1"] == "credential-taken"


async def test_two_profiles_that_choose_one_key_at_once_have_one_winner(connector):
    walks = [(await connector.returned(await connector.begin(await connector.profile())))[1] for _ in range(2)]
    await asyncio.gather(*(connector.act(walk, "credential", {"credential_id": "SEAL-1"}) for walk in walks))
    assert len(await connector.told(CaAccessGranted)) == 1


async def test_choosing_again_answers_the_same_and_grants_once(connector):
    profile = await connector.profile()
    _, walk = await connector.returned(await connector.begin(profile))
    choice = {"credential_id": "SEAL-2"}
    answers = await asyncio.gather(*(connector.act(walk, "credential", choice) for _ in range(5)))
    assert {answer["status"] for status, answer in answers if status == 200} == {"completed"}
    assert len(await connector.told(CaAccessGranted)) == 1


async def test_two_certificates_that_choose_one_credential_at_once_have_one_winner(connector):
    profile = await connector.profile()
    walks = [(await connector.returned(await connector.begin(profile)))[1] for _ in range(2)]
    await asyncio.gather(*(connector.act(walk, "credential", {"credential_id": "SEAL-1"}) for walk in walks))
    assert len(await connector.told(CaAccessGranted)) == 1


async def test_a_renewal_opens_the_next_epoch_from_now_and_not_from_the_old_end(connector, clock):
    profile = await connector.profile()
    certificate = (await connector.registered(profile))["certificate_id"]
    clock.move(days=10)
    status, walk = await connector.renewed(profile, certificate)
    assert (status, walk["status"], walk["granted"]["epoch"]) == (200, "completed", 2)
    last = (await connector.told(CaAccessGranted))[-1]
    assert (last.epoch, last.granted_at) == (2, clock.now)
    assert (last.expires_at - clock.now).total_seconds() == 60 * DAY_S


async def test_of_two_renewals_at_once_one_wins_and_the_other_is_told_so(connector):
    profile = await connector.profile()
    certificate = (await connector.registered(profile))["certificate_id"]
    walks = [await connector.begin(profile, certificate, "renewal") for _ in range(2)]
    answers = await asyncio.gather(*(connector.returned(walk) for walk in walks))
    outcomes = sorted((answer["status"], answer["reason"]) for _, answer in answers)
    assert outcomes == [("completed", None), ("failed", "renewed-by-another-operator")]
    assert [event.epoch for event in await connector.told(CaAccessGranted)] == [1, 2]


async def test_another_key_is_the_wrong_account_and_leaves_the_epoch_as_it_was(connector, make_chain):
    profile = await connector.profile()
    certificate = (await connector.registered(profile))["certificate_id"]
    connector.ca.credentials["SEAL-1"].chain = make_chain()
    _, walk = await connector.renewed(profile, certificate)
    assert (walk["status"], walk["reason"]) == ("failed", "wrong-account")
    assert [event.epoch for event in await connector.told(CaAccessGranted)] == [1]
    assert (await connector.sign(certificate))["outcome"] == "signed"


async def test_an_account_without_the_credential_is_the_wrong_account(connector):
    profile = await connector.profile()
    certificate = (await connector.registered(profile))["certificate_id"]
    del connector.ca.credentials["SEAL-1"]
    _, walk = await connector.renewed(profile, certificate)
    assert (walk["status"], walk["reason"]) == ("failed", "wrong-account")


async def test_a_disabled_credential_fails_the_renewal(connector):
    profile = await connector.profile()
    certificate = (await connector.registered(profile))["certificate_id"]
    connector.ca.credentials["SEAL-1"].enabled = False
    _, walk = await connector.renewed(profile, certificate)
    assert (walk["status"], walk["reason"]) == ("failed", "credential-disabled")


async def test_the_profile_of_a_renewal_must_be_the_certificates_own(connector):
    profile, other = await connector.profile(), await connector.profile()
    certificate = (await connector.registered(profile))["certificate_id"]
    body = {"kind": "renewal", "certificate_id": certificate, "certificate_authority_id": other}
    status, _ = await connector.call("POST", "authorisations", {"id": str(uuid4()), "operator_id": str(uuid4()), **body})
    assert 400 <= status < 500


async def test_a_renewal_of_a_certificate_that_was_never_registered_is_a_404(connector):
    body = {"kind": "renewal", "certificate_authority_id": await connector.profile()}
    ids = dict.fromkeys(("id", "certificate_id", "operator_id"), str(uuid4()))
    assert (await connector.call("POST", "authorisations", {**ids, **body}))[0] == 404


async def test_tokens_of_a_walk_that_came_to_nothing_are_revoked_and_the_certificates_own_stay(connector, make_chain):
    profile = await connector.profile()
    certificate = (await connector.registered(profile))["certificate_id"]
    kept = connector.ca.credentials["SEAL-1"].chain
    connector.ca.credentials["SEAL-1"].chain = make_chain()
    await connector.renewed(profile, certificate)
    connector.ca.credentials["SEAL-1"].chain = kept
    _, walk = await connector.returned(await connector.begin(profile))
    await connector.act(walk, "cancellation")
    async with connector.engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM to_revoke")) == 2
    assert (await connector.sign(certificate))["outcome"] == "signed"


async def test_a_walk_whose_beginning_was_cut_by_a_crash_leaves_when_it_is_begun_again(connector):
    profile = await connector.profile()
    walk = await connector.begin(profile)
    async with connector.engine.begin() as connection:
        await connection.execute(text("UPDATE authorisation SET hidden = NULL"))
    same = {"id": walk["id"], "certificate": walk["certificate_id"]}
    again = await asyncio.gather(*(connector.begin(profile, **same) for _ in range(3)))
    assert len({each["authorization_url"] for each in again}) == 1
    assert (await connector.returned(again[0]))[1]["status"] == "awaiting-credential"


async def test_no_secret_is_stored_in_the_clear_or_put_on_the_bus(connector):
    profile = await connector.profile()
    walk = await connector.begin(profile)
    state = walk["state"].encode()
    assert state not in await connector.everything()
    _, walk = await connector.returned(walk)
    assert b"canary" not in await connector.everything()
    certificate = (await connector.act(walk, "credential", {"credential_id": "SEAL-1"}))[1]["certificate_id"]
    assert (await connector.sign(certificate))["outcome"] == "signed"
    assert b"canary" not in await connector.everything()
