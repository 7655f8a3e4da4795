"""The OAuth2 server and the walk through its pages."""

import asyncio
import base64
import re

import pytest

DAY = 86_400


async def test_the_metadata_lies_at_both_places_and_names_the_issuer_exactly(world):
    for path in ("/a/.well-known/oauth-authorization-server", "/.well-known/oauth-authorization-server/a"):
        status, told = await world.send(path, method="GET")
        assert (status, told["issuer"]) == (200, f"{world.running.url}/a")
        assert told["authorization_response_iss_parameter_supported"] is True


async def test_a_walk_at_a_asks_for_login_consent_and_codes_and_comes_back_with_state_and_issuer(world):
    page = await world.at_codes()
    assert re.findall(r'<input id="(\w+)"', page) == ["otp", "pin"]
    assert re.findall(r'name="action" value="(\w+)"', page) == ["allow", "cancel", "resend"]
    assert "<script" not in page
    _, told = await world.submit("a", page, otp=world.otp(), pin="4711")
    assert (told["state"], told["iss"]) == ("s1", f"{world.running.url}/a")
    assert "code" in told


async def test_b_asks_for_no_codes(world):
    assert await world.code("b")
    assert world.sms == []


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "credential"}, "invalid_scope"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"state": "s" * 256}, "invalid_request"),
    ],
)
async def test_a_wrong_request_is_sent_back_with_its_error(world, changed, error):
    status, told = await world.open("a", **changed)
    assert (status, told["error"]) == (303, error)


@pytest.mark.parametrize("changed", [{"client_id": "other"}, {"redirect_uri": "http://127.0.0.1:9/ca/callback/x"}])
async def test_an_unknown_client_or_address_is_never_redirected_to(world, changed):
    assert (await world.open("a", **changed))[0] == 400


@pytest.mark.parametrize("step", ["login", "consent", "codes"])
async def test_cancel_at_any_step_goes_back_with_access_denied(world, step):
    page = {"login": world.open("a"), "consent": world.logged_in("a"), "codes": world.at_codes()}
    chosen = await page.pop(step)
    for other in page.values():
        other.close()
    chosen = chosen[1] if isinstance(chosen, tuple) else chosen
    assert (await world.submit("a", chosen, "cancel"))[1]["error"] == "access_denied"


async def test_a_login_form_sent_twice_is_no_consent(world):
    _, page = await world.open("b")
    for _ in range(2):
        status, shown = await world.submit("b", page, username="maria.silva", password="demo-password")
        assert (status, "Allow Sinete" in shown) == (200, True)


async def test_a_wrong_otp_then_an_expired_one_tell_what_is_left_and_a_new_one_passes(world):
    page = await world.at_codes()
    wrong = f"{(int(world.otp()) + 1) % 10**6:06d}"
    _, page = await world.submit("a", page, otp=wrong, pin="4711")
    assert "wrong. Attempts left: 4" in page
    world.move(121)
    _, page = await world.submit("a", page, otp=world.otp(), pin="4711")
    assert "expired" in page
    assert "Attempts left: 3" in page
    _, page = await world.submit("a", page, "resend")
    assert "code" in (await world.submit("a", page, otp=world.otp(), pin="4711"))[1]


async def test_five_wrong_otps_end_the_walk_and_a_new_one_begins_afresh(world):
    page = await world.at_codes()
    for _ in range(5):
        _, page = await world.submit("a", page, otp="x", pin="4711")
    assert page["error"] == "access_denied"
    assert await world.code("a")


async def test_five_wrong_pins_lock_the_pin_for_every_later_walk_until_it_is_unlocked(world):
    page = await world.at_codes()
    for _ in range(5):
        _, page = await world.submit("a", page, otp=world.otp(), pin="0000")
    assert (page["error"], page["error_description"]) == ("access_denied", "PIN locked")
    _, told = await world.submit("a", await world.at_codes(), otp=world.otp(), pin="4711")
    assert told["error_description"] == "PIN locked"
    await world.send("/sandbox/unlock")
    assert await world.code("a")


async def test_an_sms_that_cannot_be_sent_is_said_and_can_be_asked_for_again(world):
    world.sms_is_down = True
    page = await world.at_codes()
    assert "could not be sent" in page
    world.sms_is_down = False
    _, page = await world.submit("a", page, "resend")
    assert "code" in (await world.submit("a", page, otp=world.otp(), pin="4711"))[1]


async def test_five_wrong_passwords_end_the_walk(world):
    _, page = await world.open("a")
    for _ in range(6):
        _, page = await world.submit("a", page, username="maria.silva", password="wrong")
    assert page["error"] == "access_denied"


@pytest.mark.parametrize("changed", [{"code_verifier": "w" * 43}, {"redirect_uri": "http://127.0.0.1:9/"}, {"code": "unknown"}])
async def test_a_code_is_bound_to_its_verifier_and_address(world, changed):
    code = await world.code("b")
    status, told = await world.by_code("b", **({"code": code} | changed))
    assert (status, told["error"]) == (400, "invalid_grant")


async def test_a_code_is_short_lived_and_good_at_its_own_ca_only(world):
    code = await world.code("b")
    assert (await world.by_code("a", code))[1]["error"] == "invalid_grant"
    world.move(121)
    assert (await world.by_code("b", code))[1]["error"] == "invalid_grant"


async def test_a_replayed_code_revokes_what_it_gave(world):
    code = await world.code("b")
    _, given = await world.by_code("b", code)
    assert (await world.by_code("b", code))[1]["error"] == "invalid_grant"
    assert (await world.csc("b", "credentials/list", given["access_token"]))[0] == 401
    assert (await world.by_refresh("b", given["refresh_token"]))[1]["error"] == "invalid_grant"


async def test_refresh_tokens_rotate_and_one_used_again_ends_the_family(world):
    first = await world.tokens("b")
    _, second = await world.by_refresh("b", first["refresh_token"])
    assert (await world.csc("b", "credentials/list", second["access_token"]))[0] == 200
    assert (await world.by_refresh("b", first["refresh_token"]))[1]["error"] == "invalid_grant"
    assert (await world.by_refresh("b", second["refresh_token"]))[1]["error"] == "invalid_grant"


async def test_of_two_refreshes_at_once_one_wins(world):
    given = await world.tokens("b")
    answers = await asyncio.gather(*(world.by_refresh("b", given["refresh_token"]) for _ in range(2)))
    assert sorted(status for status, _ in answers) == [200, 400]


async def test_an_access_token_lives_an_hour_and_its_refresh_token_400_days(world):
    given = await world.tokens("b")
    world.move(3_601)
    assert (await world.csc("b", "credentials/list", given["access_token"]))[0] == 401
    world.move(399 * DAY)
    _, later = await world.by_refresh("b", given["refresh_token"])
    world.move(401 * DAY)
    assert (await world.by_refresh("b", later["refresh_token"]))[1]["error_description"] == "Refresh token expired"


async def test_the_secret_is_taken_by_basic_and_a_wrong_one_is_401(world):
    basic = base64.b64encode(b"sinete:client-secret").decode()
    form = {"grant_type": "refresh_token", "refresh_token": (await world.tokens("b"))["refresh_token"]}
    async with world.session.post(
        f"{world.running.url}/b/oauth2/token", data=form, headers={"Authorization": f"Basic {basic}"}
    ) as ok:
        assert ok.status == 200
    for wrong in ({"client_secret": "x"}, {"client_id": "x"}):
        status, told = await world.token("b", **form, **wrong)
        assert (status, told["error"]) == (401, "invalid_client")


async def test_revoking_a_refresh_token_ends_its_access_tokens_and_not_the_other_way_round(world):
    given = await world.tokens("b")
    who = {"client_id": "sinete", "client_secret": "client-secret"}
    assert (await world.send("/b/oauth2/revoke", who | {"token": given["access_token"]}))[0] == 204
    assert (await world.csc("b", "credentials/list", given["access_token"]))[0] == 401
    _, again = await world.by_refresh("b", given["refresh_token"])
    await world.send("/b/oauth2/revoke", who | {"token": again["refresh_token"]})
    assert (await world.csc("b", "credentials/list", again["access_token"]))[0] == 401


@pytest.mark.parametrize("form", [{}, {"grant_type": "password"}, {"grant_type": "refresh_token"}])
async def test_a_bad_token_request_is_a_400(world, form):
    assert (await world.token("a", **form))[0] == 400
