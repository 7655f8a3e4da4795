"""Version 1's `auth/login` and `auth/revoke`."""

import base64
from datetime import timedelta

import pytest

pytestmark = pytest.mark.integration


@pytest.fixture
def records_url(database):
    return database.url


LOGIN, REVOKE, LIST = (f"/csc/v1/{path}" for path in ("auth/login", "auth/revoke", "credentials/list"))


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


async def posted(bed, path, body, authorization=None):
    headers = {"Authorization": authorization} if authorization else {}
    async with bed.http.post(bed.url + path, json=body, headers=headers) as answer:
        bed.last = answer.headers
        return answer.status, await answer.json() if answer.status != 204 else None


async def logged_in(bed, **body):
    status, answer = await posted(bed, LOGIN, body, basic(bed.service.client_id, bed.secret))
    assert status == 200
    return answer


async def again(bed, refresh_token):
    return await posted(bed, LOGIN, {"refresh_token": refresh_token})


async def lists(bed, token):
    return (await posted(bed, LIST, {}, f"Bearer {token}"))[0]


async def test_client_id_and_secret_give_an_access_token_and_no_more(bed):
    answer = await logged_in(bed)
    assert answer.keys() == {"access_token", "expires_in"}
    assert answer["expires_in"] == 3600
    assert bed.last["Cache-Control"] == "no-store"
    assert await lists(bed, answer["access_token"]) == 200


async def test_who_wants_to_be_remembered_logs_in_again_without_the_secret(bed):
    remembered = await logged_in(bed, rememberMe=True, refresh_token=None, clientData=None)
    bed.now += timedelta(hours=2)
    assert await lists(bed, remembered["access_token"]) == 401
    status, answer = await again(bed, remembered["refresh_token"])
    assert (status, answer.keys()) == (200, {"access_token", "expires_in"})
    assert await lists(bed, answer["access_token"]) == 200
    bed.now += timedelta(days=30)
    assert (await again(bed, remembered["refresh_token"]))[0] == 400


@pytest.mark.parametrize("authorization", [None, "Basic", "Basic !", "Basic YQ==", "Bearer x", "Digest x", "Basic /w=="])
async def test_what_is_no_login_is_malformed(bed, authorization):
    status, body = await posted(bed, LOGIN, {}, authorization)
    assert (status, body["error"]) == (401, "invalid_request")
    assert body["error_description"] == "Malformed authentication parameter."
    assert bed.last["WWW-Authenticate"].startswith("Basic")


async def test_a_wrong_secret_and_an_unknown_client_get_the_same_answer(bed):
    wrong = await posted(bed, LOGIN, {}, basic(bed.service.client_id, "wrong"))
    assert wrong == await posted(bed, LOGIN, {}, basic("nobody", "wrong"))
    assert (wrong[0], wrong[1]["error"]) == (400, "authentication_error")
    assert wrong[1]["error_description"] == "An error occurred during authentication process"


@pytest.mark.parametrize("body", [{"refresh_token": "x"}, {"refresh_token": 7}, {"rememberMe": "yes"}])
async def test_bad_input_is_refused(bed, body):
    status, answer = await posted(bed, LOGIN, body)
    assert (status, answer["error"]) == (400, "invalid_request")


async def test_a_revoked_refresh_token_takes_all_its_access_tokens_along(bed):
    remembered = await logged_in(bed, rememberMe=True)
    _, later = await again(bed, remembered["refresh_token"])
    elsewhere = await logged_in(bed)
    body = {"token": remembered["refresh_token"], "token_type_hint": "refresh_token"}
    for _ in range(2):
        assert (await posted(bed, REVOKE, body, f"Bearer {elsewhere['access_token']}"))[0] == 204
    assert (await again(bed, remembered["refresh_token"]))[0] == 400
    assert await lists(bed, remembered["access_token"]) == 401
    assert await lists(bed, later["access_token"]) == 401
    assert await lists(bed, elsewhere["access_token"]) == 200


async def test_a_revoked_access_token_leaves_its_refresh_token_alone(bed):
    remembered = await logged_in(bed, rememberMe=True)
    body = {"token": remembered["access_token"]}
    assert (await posted(bed, REVOKE, body, f"Bearer {remembered['access_token']}"))[0] == 204
    assert await lists(bed, remembered["access_token"]) == 401
    status, answer = await again(bed, remembered["refresh_token"])
    assert status == 200
    assert await lists(bed, answer["access_token"]) == 200


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "Missing (or invalid type) string parameter token"),
        ({"token": 7}, "Missing (or invalid type) string parameter token"),
        ({"token": "x"}, "Invalid string parameter token"),
        ({"token": "x", "token_type_hint": "id_token"}, "Invalid string parameter token_type_hint"),
    ],
)
async def test_what_cannot_be_revoked_is_named(bed, body, text):
    status, answer = await posted(bed, REVOKE, body, f"Bearer {bed.token}")
    assert (status, answer["error"], answer["error_description"]) == (400, "invalid_request", text)


async def test_nobody_revokes_anything_without_a_token(bed):
    assert (await posted(bed, REVOKE, {"token": bed.token}))[0] == 401


async def test_a_new_secret_ends_what_the_old_one_began(bed):
    remembered = await logged_in(bed, rememberMe=True)
    bed.told(bed.service, secret_sha256="00" * 32)
    assert (await again(bed, remembered["refresh_token"]))[0] == 400


async def test_the_refresh_token_itself_is_nowhere_in_the_database(bed):
    import asyncpg

    remembered = await logged_in(bed, rememberMe=True)
    connection = await asyncpg.connect(bed.database_url)
    rows = str(await connection.fetch("SELECT * FROM login"))
    await connection.close()
    assert remembered["refresh_token"] not in rows
