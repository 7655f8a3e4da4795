import asyncio
from datetime import timedelta

import pytest

from contracts import CaAccessGranted

pytestmark = pytest.mark.integration
MOST = 4


@pytest.fixture
async def dialog(connector):
    """A profile whose codes our own dialog asks for, and a certificate registered there."""
    connector.ca.explicit = True
    profile = await connector.profile(approval="in-back-office", signing="sad-per-grant")
    return profile, (await connector.registered(profile))["certificate_id"]


async def answered(connector, walk, otp=None, pin=None):
    return await connector.act(walk, "authorisation", {"otp": otp or connector.ca.otp, "pin": pin or connector.ca.pin})


def wrong(otp):
    return f"{(int(otp) + 1) % 10**6:06}"


async def test_a_renewal_needs_no_page_of_the_ca_while_the_stored_token_works(connector, dialog, clock):
    profile, certificate = dialog
    walk = await connector.begin(profile, certificate, "renewal")
    assert (walk["status"], walk["authorization_url"]) == ("awaiting-authorisation", None)
    assert set(walk["asks"]) == {"otp", "pin"}
    assert walk["answer_by"] == (clock.now + timedelta(minutes=2)).isoformat().replace("+00:00", "Z")
    status, walk = await answered(connector, walk)
    assert (status, walk["status"], walk["granted"]["epoch"]) == (200, "completed", 2)
    assert (await connector.sign(certificate, epoch=2))["outcome"] == "signed"


async def test_a_dead_refresh_token_sends_the_operator_to_the_ca(connector, dialog):
    profile, certificate = dialog
    connector.ca.withdraw_everything()
    walk = await connector.begin(profile, certificate, "renewal")
    assert walk["status"] == "awaiting-ca"
    assert walk["authorization_url"]
    status, walk = await connector.returned(walk)
    assert (status, walk["status"]) == (200, "awaiting-authorisation")
    assert (await answered(connector, walk))[1]["status"] == "completed"


async def test_a_wrong_code_costs_an_attempt_and_a_right_one_afterwards_counts(connector, dialog):
    profile, certificate = dialog
    walk = await connector.begin(profile, certificate, "renewal")
    before = walk["attempts_left"]
    _, told = await answered(connector, walk, otp=wrong(connector.ca.otp))
    assert told["attempts_left"] == before - 1
    assert told["reason"] == "wrong-otp"
    _, told = await answered(connector, walk, pin="0000")
    assert told["reason"] == "wrong-pin"
    assert (await answered(connector, walk))[1]["status"] == "completed"


async def test_of_fifty_wrong_codes_at_once_exactly_as_many_are_compared_as_may_be(connector, dialog):
    profile, certificate = dialog
    walk = await connector.begin(profile, certificate, "renewal")
    connector.ca.compared = 0
    await asyncio.gather(*(answered(connector, walk, otp=wrong(connector.ca.otp)) for _ in range(50)))
    assert connector.ca.compared == MOST
    _, walk = await connector.call("GET", f"authorisations/{walk['id']}")
    assert (walk["status"], walk["reason"]) == ("failed", "locked")
    assert len(await connector.told(CaAccessGranted)) == 1


async def test_a_new_walk_brings_no_new_attempts_until_a_code_was_right(connector, dialog, clock):
    profile, certificate = dialog
    walk = await connector.begin(profile, certificate, "renewal")
    for _ in range(2):
        await answered(connector, walk, pin="0000")
    clock.move(minutes=1)
    again = await connector.begin(profile, certificate, "renewal")
    assert again["attempts_left"] == MOST - 2
    connector.ca.compared = 0
    for each in (walk, again, walk, again, again):
        await answered(connector, each, pin="0000")
    assert connector.ca.compared == 2
    third = await connector.begin(profile, certificate, "renewal")
    assert (third["status"], third["reason"]) == ("failed", "locked")
    clock.move(hours=1)
    later = await connector.begin(profile, certificate, "renewal")
    assert (await answered(connector, later))[1]["status"] == "completed"


async def test_a_code_is_good_for_two_minutes_and_a_late_one_is_never_sent_to_the_ca(connector, dialog, clock):
    profile, certificate = dialog
    walk = await connector.begin(profile, certificate, "renewal")
    connector.ca.compared = 0
    clock.move(minutes=2, seconds=1)
    _, told = await answered(connector, walk)
    assert told["reason"] == "code-expired"
    assert connector.ca.compared == 0
    assert (await connector.act(walk, "challenge"))[0] == 200
    assert (await answered(connector, walk))[1]["status"] == "completed"


async def test_who_answers_after_another_operator_renewed_is_told_so_and_the_ca_compares_nothing(connector, dialog):
    profile, certificate = dialog
    late, first = [await connector.begin(profile, certificate, "renewal") for _ in range(2)]
    assert (await answered(connector, first))[1]["status"] == "completed"
    connector.ca.compared = 0
    _, told = await answered(connector, late, otp=wrong(connector.ca.otp))
    assert (told["status"], told["reason"]) == ("failed", "renewed-by-another-operator")
    assert connector.ca.compared == 0
    assert [event.epoch for event in await connector.told(CaAccessGranted)] == [1, 2]


async def test_a_lock_at_the_ca_is_final(connector, dialog):
    profile, certificate = dialog
    walk = await connector.begin(profile, certificate, "renewal")
    connector.ca.moods["csc/v2/credentials/authorize"].append(
        (400, {"error": "invalid_request", "error_description": "PIN locked"})
    )
    await answered(connector, walk)
    _, walk = await connector.call("GET", f"authorisations/{walk['id']}")
    assert (walk["status"], walk["reason"]) == ("failed", "locked")


async def test_codes_are_sent_again_at_most_five_times(connector, dialog):
    profile, certificate = dialog
    walk = await connector.begin(profile, certificate, "renewal")
    answers = [(await connector.act(walk, "challenge"))[0] for _ in range(8)]
    assert answers.count(200) <= 5
    assert all(400 <= status < 500 for status in answers[5:])


async def test_a_missing_code_is_refused_without_costing_an_attempt(connector, dialog):
    profile, certificate = dialog
    walk = await connector.begin(profile, certificate, "renewal")
    connector.ca.compared = 0
    status, _ = await connector.act(walk, "authorisation", {"otp": connector.ca.otp})
    assert 400 <= status < 500
    assert connector.ca.compared == 0
    assert (await connector.call("GET", f"authorisations/{walk['id']}"))[1]["attempts_left"] == walk["attempts_left"]


async def test_a_cancelled_dialog_takes_no_answer_any_more(connector, dialog):
    profile, certificate = dialog
    walk = await connector.begin(profile, certificate, "renewal")
    assert (await connector.act(walk, "cancellation"))[1]["status"] == "cancelled"
    await answered(connector, walk)
    assert len(await connector.told(CaAccessGranted)) == 1


async def test_neither_code_nor_pin_is_kept(connector, dialog):
    profile, certificate = dialog
    walk = await connector.begin(profile, certificate, "renewal")
    _, told = await connector.act(walk, "authorisation", {"otp": "canary-otp", "pin": "canary-pin"})
    assert "canary" not in str(told)
    assert b"canary" not in await connector.everything()


async def test_the_sad_covers_the_whole_usage_limit(connector, dialog):
    connector.ca.multisign = 10**9
    profile, certificate = dialog
    await answered(connector, await connector.begin(profile, certificate, "renewal"))
    assert connector.ca.bodies["credentials/authorize"][-1]["numSignatures"] == 10**9
