import base64
from datetime import timedelta
from urllib.parse import quote_plus

import aiohttp
import pytest


async def asked(bed, form, authorization=None):
    headers = {"Authorization": authorization} if authorization else {}
    async with bed.http.post(bed.url + "/oauth2/token", data=form, headers=headers) as answer:
        bed.last = answer.headers
        return answer.status, await answer.json()


def basic(client_id, secret):
    return "Basic " + base64.b64encode(f"{quote_plus(client_id)}:{quote_plus(secret)}".encode()).decode()


GRANT = {"grant_type": "client_credentials"}


async def test_a_token_is_given_for_the_secret_by_basic_and_signs_in(bed):
    status, body = await asked(bed, {**GRANT, "scope": "service"}, basic(bed.service.client_id, bed.secret))
    assert (status, body["token_type"], body["expires_in"], body["scope"]) == (200, "Bearer", 3600, "service")
    assert bed.last["Cache-Control"] == "no-store"
    assert (await bed.post("/csc/v2/credentials/list", {}, token=body["access_token"]))[0] == 200


async def test_the_secret_may_come_in_the_form(bed):
    form = {**GRANT, "client_id": bed.service.client_id, "client_secret": bed.secret}
    assert (await asked(bed, form))[0] == 200


async def test_the_client_id_may_stand_in_the_form_beside_basic(bed):
    form = {**GRANT, "client_id": bed.service.client_id}
    assert (await asked(bed, form, basic(bed.service.client_id, bed.secret)))[0] == 200


@pytest.mark.parametrize("authorization", ["Basic", "Basic !", "Basic YQ==", "Bearer x", "Basic /w=="])
async def test_what_is_no_login_is_challenged(bed, authorization):
    status, body = await asked(bed, GRANT, authorization)
    assert (status, body["error"]) == (401, "invalid_client")
    assert bed.last["WWW-Authenticate"].startswith("Basic")


async def test_a_wrong_secret_and_an_unknown_client_get_the_same_answer(bed):
    wrong = await asked(bed, GRANT, basic(bed.service.client_id, "wrong"))
    assert wrong == await asked(bed, GRANT, basic("nobody", "wrong"))
    assert wrong[0] == 401


async def test_a_deleted_service_gets_no_token_and_its_old_one_holds_no_more(bed):
    bed.told(bed.service, status="deleted")
    assert (await asked(bed, GRANT, basic(bed.service.client_id, bed.secret)))[0] == 401
    assert (await bed.post("/csc/v2/credentials/list", {}))[0] == 401


async def test_an_unknown_client_is_not_refused_for_good_while_the_topics_are_read(bed):
    bed.topics.caught_up = False
    assert (await asked(bed, GRANT, basic("nobody", "x")))[0] == 503


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        ({**GRANT, "scope": "credential"}, "invalid_scope"),
        ({**GRANT, "client_secret": "twice"}, "invalid_request"),
        ({**GRANT, "client_id": "another"}, "invalid_request"),
    ],
)
async def test_a_request_that_cannot_be_granted_says_why(bed, form, error):
    status, body = await asked(bed, form or aiohttp.FormData({"x": "1"}), basic(bed.service.client_id, bed.secret))
    assert (status, body["error"]) == (400, error)


async def test_a_parameter_sent_twice_is_refused(bed):
    form = aiohttp.FormData([("grant_type", "client_credentials"), ("grant_type", "client_credentials")])
    assert (await asked(bed, form, basic(bed.service.client_id, bed.secret)))[0] == 400


async def test_a_body_that_is_no_form_is_refused(bed):
    status, body = await bed.post("/oauth2/token", {"grant_type": "client_credentials"})
    assert (status, body["error"]) == (400, "invalid_request")


async def test_a_token_is_good_for_an_hour_of_our_clock(bed):
    bed.now += timedelta(minutes=59)
    assert (await bed.post("/csc/v2/credentials/list", {}))[0] == 200
    bed.now += timedelta(minutes=1)
    assert (await bed.post("/csc/v2/credentials/list", {}))[0] == 401


async def test_unknown_paths_and_methods_are_answered_in_the_shape_of_the_api(bed):
    assert (await bed.post("/csc/v2/credentials/nothing", {}))[0] == 404
    async with bed.http.get(bed.url + "/csc/v2/info") as answer:
        assert answer.status == 405
        assert (await answer.json())["error"] == "invalid_request"
    for path in ("/docs", "/openapi.json"):
        async with bed.http.get(bed.url + path) as answer:
            assert answer.status == 404


@pytest.mark.parametrize("written", ["Bearer  {}", "bearer {}", "BEARER   {}  "])
async def test_however_a_token_is_written_it_is_remembered_once(bed, written):
    bed.tokens.read(f"Bearer {bed.token}".encode())
    before = bed.tokens._brought.cache_info().currsize
    bed.tokens.read(written.format(bed.token).encode())
    assert bed.tokens._brought.cache_info().currsize == before
