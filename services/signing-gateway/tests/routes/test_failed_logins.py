"""Guesses are bounded for whoever makes them, and lock nobody else out."""

import base64
from contextlib import AsyncExitStack
from dataclasses import replace
from urllib.parse import quote_plus

import pytest

from signing_gateway.routes.failed_logins import neighbourhood

pytestmark = pytest.mark.integration


@pytest.fixture
def records_url(database):
    return database.url


@pytest.fixture
async def strict(bed, run):
    """A gateway where three logins of one peer may fail in a minute."""
    async with AsyncExitStack() as stack:
        yield await run(replace(bed, failed_per_minute=3), stack)


@pytest.fixture
async def behind_a_proxy(bed, run):
    async with AsyncExitStack() as stack:
        yield await run(replace(bed, failed_per_minute=3, proxies="127.0.0.1"), stack)


ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TOKEN, REVOKE, LOGIN = "/oauth2/token", "/oauth2/revoke", "/csc/v1/auth/login"


async def posted(bed, path, *, user=None, secret="wrong", **sent):
    credentials = f"{user or bed.service.client_id}:{secret if path == LOGIN else quote_plus(secret)}".encode()
    headers = {"Authorization": "Basic " + base64.b64encode(credentials).decode()} if "data" not in sent else {}
    if path == LOGIN:
        sent = {"json": sent or {}}
    else:
        sent.setdefault("data", {"grant_type": "client_credentials", "token": "x"})
    async with bed.http.post(bed.url + path, headers=headers, **sent) as answer:
        bed.last = answer.headers
        return answer.status, await answer.json() if answer.status != 204 else None


async def refreshed(bed, token):
    async with bed.http.post(bed.url + LOGIN, json={"refresh_token": token}) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize(("path", "refused"), [(TOKEN, 401), (REVOKE, 401), (LOGIN, 400)])
async def test_one_failed_login_too_many_is_refused_and_told_when_to_come_again(strict, path, refused):
    for left in (2, 1, 0):
        assert (await posted(strict, path))[0] == refused
        assert strict.last["RateLimit-Policy"] == '"failed-logins";q=3;w=60'
        assert strict.last["RateLimit"].startswith(f'"failed-logins";r={left};')
    for user in (None, "somebody-else"):
        status, body = await posted(strict, path, user=user)
        assert (status, body["error"], body["sinete_error"]) == (429, "temporarily_unavailable", "rate-exceeded")
        assert 0 < int(strict.last["Retry-After"]) <= 20
        assert strict.last["RateLimit"].startswith('"failed-logins";r=0;')


GUESSES = {
    "no way to authenticate": (TOKEN, {"data": {"grant_type": "client_credentials", "client_id": "x"}}, None),
    "an assertion": (TOKEN, {"data": {"client_assertion_type": ASSERTION, "client_assertion": "a.b.c"}}, None),
    "a malformed header": (TOKEN, {"data": {"grant_type": "client_credentials"}}, "Basic !"),
    "a malformed login": (LOGIN, {"json": {}}, "Basic !"),
    "a refresh token": (LOGIN, {"json": {"refresh_token": "x"}}, None),
    "an access token": ("/csc/v1/auth/revoke", {"json": {"token": "x"}}, "Bearer x"),
}


@pytest.mark.parametrize(("path", "sent", "authorization"), GUESSES.values(), ids=GUESSES.keys())
async def test_whatever_is_guessed_is_counted(strict, path, sent, authorization):
    answered = []
    for _ in range(5):
        headers = {"Authorization": authorization} if authorization else {}
        async with strict.http.post(strict.url + path, headers=headers, **sent) as answer:
            answered.append(answer.status)
            told = answer.headers
    assert answered[3:] == [429, 429]
    assert set(answered[:3]) <= {400, 401}
    assert told["RateLimit-Policy"] == '"failed-logins";q=3;w=60'


async def test_a_right_secret_gets_in_after_whatever_number_of_wrong_ones(strict, behind_a_proxy):
    for bed in (strict, behind_a_proxy):
        for _ in range(6):
            await posted(bed, TOKEN)
        for path, status in ((TOKEN, 200), (REVOKE, 204), (LOGIN, 200)):
            assert (await posted(bed, path, secret=bed.secret))[0] == status
            assert bed.last["RateLimit"].startswith('"client-service";')


async def test_behind_a_proxy_the_wrong_guesses_of_one_client_are_not_laid_to_another(behind_a_proxy):
    bed = behind_a_proxy
    assert [(await posted(bed, TOKEN, user="one"))[0] for _ in range(4)] == [401, 401, 401, 429]
    assert (await posted(bed, TOKEN, user="another"))[0] == 401
    assert (await posted(bed, TOKEN))[0] == 401


async def test_a_client_that_is_named_as_an_address_is_has_failures_of_its_own(behind_a_proxy):
    bed = behind_a_proxy
    assert [(await posted(bed, TOKEN, user="127.0.0.1"))[0] for _ in range(4)] == [401, 401, 401, 429]
    nobody = {"data": {"grant_type": "client_credentials"}, "headers": {"Authorization": "Basic !"}}  # counts for the address
    async with bed.http.post(bed.url + TOKEN, **nobody) as answer:
        assert answer.status == 401


async def test_after_too_many_failures_nothing_is_looked_up_in_the_database(strict):
    _, given = await posted(strict, LOGIN, secret=strict.secret, rememberMe=True)
    assert [(await refreshed(strict, "x"))[0] for _ in range(3)] == [400] * 3
    status, body = await refreshed(strict, given["refresh_token"])
    assert (status, body["sinete_error"]) == (429, "rate-exceeded")


async def test_a_token_costs_its_client_service_a_request(bed, run):
    async with AsyncExitStack() as stack:
        busy = await run(replace(bed, per_minute=2), stack)
        answered = [(await posted(busy, path, secret=busy.secret))[0] for path in (TOKEN, REVOKE, TOKEN, LOGIN)]
        assert answered == [200, 204, 429, 429]
        assert busy.last["RateLimit"].startswith('"client-service";r=0;')


def test_an_address_of_version_6_stands_for_its_whole_network():
    assert neighbourhood("2001:db8:0:1::7") == neighbourhood("2001:db8:0:1:ffff::9") == "2001:db8:0:1::/64"
    assert neighbourhood("2001:db8:0:2::7") != neighbourhood("2001:db8:0:1::7")
    assert neighbourhood("203.0.113.7") == "203.0.113.7"
    assert neighbourhood("::ffff:203.0.113.7") != neighbourhood("::ffff:203.0.113.8")
    assert neighbourhood("") == ""
