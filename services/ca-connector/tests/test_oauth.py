from urllib.parse import parse_qs, urlsplit

import pytest

from ca_connector.csc import Sad
from ca_connector.oauth import LONGEST_LIFE_S, ClientOfCa, ClientRejected, GrantInvalid, MetadataMismatch, OAuth
from ca_connector.outbound import CaAnswerUnknown, Outbound
from ca_connector.storage.access import KeptTokens
from hosting.address import Allowed

CALLBACK = "http://127.0.0.1:7400/ca/callback"


@pytest.fixture
async def oauth(ca):
    outbound = Outbound(Allowed.of(f"127.0.0.1:{ca.port}"), timeout_s=2)
    yield OAuth(outbound, CALLBACK)
    await outbound.close()


@pytest.fixture
def us(ca):
    return ClientOfCa(ca.issuer, "sinete", "canary-client-secret")


async def test_a_code_is_exchanged_once_with_the_verifier_of_its_own_departure(ca, oauth, us):
    departure = await oauth.departure(us)
    back = ca.consent(departure.url)
    assert back["state"] == departure.state
    assert (await oauth.exchange(us, back["code"], departure.verifier)).refresh in ca.refresh
    with pytest.raises(GrantInvalid):
        await oauth.exchange(us, back["code"], departure.verifier)


async def test_a_code_of_one_departure_is_no_good_with_the_verifier_of_another(ca, oauth, us):
    one, other = await oauth.departure(us), await oauth.departure(us)
    with pytest.raises(GrantInvalid):
        await oauth.exchange(us, ca.consent(one.url)["code"], other.verifier)


async def test_every_departure_has_a_state_of_256_bits_within_255_bytes_and_shows_no_verifier(oauth, us):
    departures = [await oauth.departure(us) for _ in range(5)]
    assert len({departure.state for departure in departures}) == 5
    for departure in departures:
        asked = parse_qs(urlsplit(departure.url).query)
        assert 43 <= len(departure.state) <= 255
        assert asked["redirect_uri"] == [CALLBACK]
        assert asked["scope"] == ["service"]
        assert departure.verifier not in departure.url


async def test_metadata_of_another_issuer_are_refused(ca, oauth, us):
    ca.metadata["issuer"] = ca.issuer + "/"
    with pytest.raises(MetadataMismatch):
        await oauth.departure(us)


async def test_metadata_without_a_token_endpoint_are_refused(ca, oauth, us):
    ca.metadata["token_endpoint"] = None
    with pytest.raises(MetadataMismatch):
        await oauth.departure(us)


@pytest.mark.parametrize("endpoint", ["authorization_endpoint", "token_endpoint", "revocation_endpoint"])
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "https://169.254.169.254/", "javascript:alert(1)", "https://a@b.example/"]
)
async def test_metadata_that_point_where_no_profile_may_are_refused(ca, oauth, us, endpoint, url):
    ca.metadata[endpoint] = url
    with pytest.raises(MetadataMismatch):
        await oauth.departure(us)


async def test_metadata_are_asked_for_once_in_ten_minutes(ca, oauth, us):
    for _ in range(3):
        await oauth.departure(us)
    assert sum(count for path, count in ca.calls.items() if "well-known" in path) == 1


async def test_a_refresh_rotates_and_the_old_token_is_dead(ca, oauth, us):
    first = ca.tokens()["refresh_token"]
    second = await oauth.refresh(us, first)
    assert second.refresh != first
    with pytest.raises(GrantInvalid):
        await oauth.refresh(us, first)


async def test_our_own_wrong_secret_is_never_taken_for_a_dead_grant(ca, oauth):
    wrong = ClientOfCa(ca.issuer, "sinete", "wrong")
    with pytest.raises(ClientRejected):
        await oauth.refresh(wrong, ca.tokens()["refresh_token"])


async def test_a_lifetime_that_no_clock_can_add_is_cut(ca, oauth, us):
    ca.expires_in = 10**400
    assert (await oauth.refresh(us, ca.tokens()["refresh_token"])).expires_in == LONGEST_LIFE_S


async def test_what_is_secret_is_in_no_representation(ca, oauth, us):
    tokens, departure = await oauth.refresh(us, ca.tokens()["refresh_token"]), await oauth.departure(us)
    kept = KeptTokens(tokens.access, 0.0, tokens.refresh, "canary-sad")
    told = f"{us!r} {tokens!r} {departure!r} {kept!r} {Sad('canary-sad', 1, 1)!r}"
    secrets = (us.client_secret, tokens.access, str(tokens.refresh), departure.state, departure.verifier, "canary-sad")
    assert not [secret for secret in secrets if secret in told]


@pytest.mark.parametrize(
    "mood",
    [
        500,
        503,
        429,
        404,
        "cut",
        (200, {}),
        (200, {"access_token": ""}),
        (200, {"access_token": "x", "expires_in": -1}),
        (200, [1]),
    ],
)
async def test_an_outage_is_never_taken_for_a_dead_grant(ca, oauth, us, mood):
    ca.moods["oauth2/token"].append(mood)
    with pytest.raises(CaAnswerUnknown):
        await oauth.refresh(us, ca.tokens()["refresh_token"])


async def test_a_token_is_revoked_where_the_ca_has_an_endpoint_for_it(ca, oauth, us):
    token = ca.tokens()["refresh_token"]
    assert await oauth.revoke(us, token)
    assert ca.revoked == [token]


async def test_a_ca_without_such_an_endpoint_leaves_nothing_to_do(ca, oauth, us):
    ca.metadata["revocation_endpoint"] = None
    assert await oauth.revoke(us, "any")
    assert ca.revoked == []
