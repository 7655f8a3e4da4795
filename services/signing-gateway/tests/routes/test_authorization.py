"""Signature activation data, on the real database."""

import asyncio
import base64
import hashlib
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta

import pytest

pytestmark = pytest.mark.integration

DIGESTS = [hashlib.sha256(bytes([n])).digest() for n in range(60)]
SHA256, SHA384 = (f"2.16.840.1.101.3.4.2.{n}" for n in (1, 2))


@pytest.fixture
def records_url(database):
    return database.url


def base64s(*digests):
    return [base64.b64encode(digest).decode() for digest in digests]


async def authorize(bed, count=1, version="v2", **changes):
    asked = {"credentialID": str(bed.certificate.certificate_id), "numSignatures": count, **changes}
    return await bed.post(f"/csc/{version}/credentials/authorize", asked)


async def authorized(bed, count=1, **changes):
    status, body = await authorize(bed, count, **changes)
    assert status == 200
    assert body["expiresIn"] == 3600
    return body["SAD"]


async def extend(bed, sad, **changes):
    asked = {"credentialID": str(bed.certificate.certificate_id), "SAD": sad, **changes}
    return await bed.post("/csc/v2/credentials/extendTransaction", asked)


def said(answer):
    status, body = answer
    return status, body.get("error"), body.get("error_description"), body.get("sinete_error")


INVALID = (400, "invalid_request", "Invalid parameter SAD", "sad-invalid")


async def test_a_sad_signs_as_often_as_it_was_authorised_for_and_then_never_again(bed):
    sad = await authorized(bed, 3)
    assert (await bed.sign(*DIGESTS[:2], SAD=sad))[0] == 200
    status, body = await bed.sign(*DIGESTS[:2], SAD=sad)
    assert (status, body["sinete_error"], body["left"]) == (400, "sad-too-small", 1)
    assert body["error_description"].startswith("Numbers of signatures is too high")
    assert (await bed.sign(DIGESTS[2], SAD=sad))[0] == 200
    assert said(await bed.sign(DIGESTS[3], SAD=sad)) == INVALID
    assert sum(told.count for told in bed.teller.told) == 3


async def test_fifty_calls_at_once_at_two_gateways_spend_exactly_what_there_is(bed, run):
    sad = await authorized(bed, 20)
    async with AsyncExitStack() as stack:
        other = await run(replace(bed), stack)
        answers = await asyncio.gather(
            *((bed, other)[n % 2].sign(DIGESTS[n], SAD=sad) for n in range(50)),
        )
    assert sorted(status for status, _ in answers) == [200] * 20 + [400] * 30
    assert {body["sinete_error"] for status, body in answers if status == 400} == {"sad-invalid"}
    assert len(bed.authority.journal) == 20


async def test_a_sad_is_over_at_its_instant(bed):
    sad = await authorized(bed)
    bed.now += timedelta(seconds=3600)
    bed.token = bed.renewed_token()
    assert said(await bed.sign(DIGESTS[0], SAD=sad)) == (400, "invalid_request", "SAD expired", "sad-expired")
    assert said(await extend(bed, sad)) == (400, "invalid_request", "SAD expired", "sad-expired")


async def test_a_sad_for_hashes_signs_these_alone(bed):
    sad = await authorized(bed, 2, hashes=base64s(*DIGESTS[:2]), hashAlgorithmOID=SHA256)
    refused = (400, "invalid_request", "Hash is not authorized by the SAD.", "sad-for-other-hashes")
    assert said(await bed.sign(DIGESTS[2], SAD=sad)) == refused
    assert said(await bed.sign(DIGESTS[0], DIGESTS[2], SAD=sad)) == refused
    assert (await bed.sign(DIGESTS[1], DIGESTS[0], SAD=sad))[0] == 200


async def test_a_sad_for_another_algorithm_does_not_sign(bed):
    sad = await authorized(bed, hashAlgorithmOID=SHA384)
    assert (await bed.sign(DIGESTS[0], SAD=sad))[1]["sinete_error"] == "sad-for-other-hashes"


async def test_another_services_and_an_invented_sad_get_the_same_answer(bed, a):
    sad = await authorized(bed)
    other = a.service(bed.certificate.certificate_id, bed.account.account_id)
    bed.known.keep_service(other)
    bed.token = bed.tokens.issue(bed.known.services.get(other.client_service_id))
    assert said(await bed.sign(DIGESTS[0], SAD=sad)) == INVALID
    assert said(await extend(bed, sad)) == INVALID
    for invented in ("", "x", "x" * 10_000):
        assert said(await bed.sign(DIGESTS[0], SAD=invented)) == INVALID


async def test_what_is_certainly_refused_is_given_back(bed):
    sad = await authorized(bed)
    bed.authority.mishap = "refused ca-unavailable"
    assert (await bed.sign(DIGESTS[0], SAD=sad))[0] == 503
    bed.authority.mishap = ""
    assert (await bed.sign(DIGESTS[0], SAD=sad))[0] == 200


async def test_an_outcome_that_nobody_knows_stays_spent(bed):
    sad = await authorized(bed)
    bed.authority.mishap = "unknown"
    assert (await bed.sign(DIGESTS[0], SAD=sad))[0] == 503
    bed.authority.mishap = ""
    assert said(await bed.sign(DIGESTS[0], SAD=sad)) == INVALID


async def test_a_retry_with_its_key_spends_nothing_and_needs_no_sad_of_its_own(bed):
    sad, key = await authorized(bed), {"Idempotency-Key": '"k"'}
    first = await bed.sign(DIGESTS[0], SAD=sad, headers=key)
    assert first[0] == 200
    assert await bed.sign(DIGESTS[0], SAD=sad, headers=key) == first
    assert await bed.sign(DIGESTS[0], SAD=await authorized(bed), headers=key) == first


async def test_an_extended_transaction_has_a_new_sad_for_what_is_left(bed):
    sad = await authorized(bed, 2, hash=base64s(DIGESTS[0]))
    assert (await bed.sign(DIGESTS[0], SAD=sad))[0] == 200
    bed.now += timedelta(seconds=3599)
    status, body = await extend(bed, sad, hash=base64s(DIGESTS[1]))
    assert (status, body["expiresIn"]) == (200, 3600)
    assert said(await bed.sign(DIGESTS[1], SAD=sad)) == INVALID
    bed.now += timedelta(seconds=3599)
    bed.token = bed.renewed_token()
    assert (await bed.sign(DIGESTS[0], SAD=body["SAD"]))[1]["sinete_error"] == "sad-for-other-hashes"
    assert (await bed.sign(DIGESTS[1], SAD=body["SAD"]))[0] == 200
    assert said(await extend(bed, body["SAD"])) == INVALID


async def test_extending_without_hashes_widens_nothing(bed):
    sad = await authorized(bed, 2, hash=base64s(DIGESTS[0]))
    _, body = await extend(bed, sad, hash=None, clientData=None)
    assert (await bed.sign(DIGESTS[1], SAD=body["SAD"]))[1]["sinete_error"] == "sad-for-other-hashes"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"numSignatures": None}, "Missing (or invalid type) integer parameter numSignatures"),
        ({"numSignatures": "1"}, "Missing (or invalid type) integer parameter numSignatures"),
        ({"numSignatures": True}, "Missing (or invalid type) integer parameter numSignatures"),
        ({"numSignatures": 1.5}, "Missing (or invalid type) integer parameter numSignatures"),
        ({"numSignatures": 0}, "Invalid value for parameter numSignatures"),
        ({"numSignatures": -1}, "Invalid value for parameter numSignatures"),
        ({"numSignatures": 101}, "Numbers of signatures is too high"),
        ({"numSignatures": 10**12}, "Numbers of signatures is too high"),
        ({"credentialID": None}, "Missing (or invalid type) string parameter credentialID"),
        ({"credentialID": "nobody"}, "Invalid parameter credentialID"),
        ({"hashes": []}, "Empty hash array"),
        ({"hashes": ["?"]}, "Invalid Base64 hash string parameter"),
        ({"hashes": "x"}, "Missing (or invalid type) array parameter hashes"),
        ({"hashes": ["AAAA"]}, "Invalid digest value length"),
        ({"hashAlgorithmOID": "1.2.3"}, "Invalid parameter hashAlgorithmOID"),
        ({"hashes": ["A" * 43 + "="], "hashAlgorithmOID": SHA384}, "Invalid digest value length"),
    ],
)
async def test_bad_input_is_refused_in_the_words_of_the_specification(bed, database, changes, text):
    assert said(await authorize(bed, **changes))[:3] == (400, "invalid_request", text)
    assert not await database.rows("activation")


async def test_a_disabled_credential_is_not_authorised(bed):
    bed.told(bed.certificate, status="inactive")
    assert said(await authorize(bed))[2] == "The credential identified by credentialID is disabled"


async def test_no_sad_is_kept_but_as_a_digest_and_no_pin_at_all(bed, database, capsys):
    sad = await authorized(bed, version="v1", PIN="48151623", OTP="48151623", authData=[{"id": "PIN", "value": "48151623"}])
    (row,) = await database.rows("activation")
    assert sad not in str(row)
    assert "48151623" not in str(row) + capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "asked", "text"),
    [
        ("v1/credentials/sendOTP", {}, "The credential identified by credentialID needs no OTP"),
        ("v2/credentials/getChallenge", {"authObjectID": "OTP"}, "Invalid parameter authObjectID"),
        ("v2/credentials/getChallenge", {}, "Missing (or invalid type) string parameter authObjectID"),
        ("v2/credentials/authorizeCheck", {"handle": "x"}, "Invalid parameter handle"),
        ("v2/credentials/authorizeCheck", {}, "Missing (or invalid type) string parameter handle"),
    ],
)
async def test_what_a_credential_without_factors_cannot_do_is_refused_by_name(bed, path, asked, text):
    answer = await bed.post(f"/csc/{path}", {"credentialID": str(bed.certificate.certificate_id), **asked})
    assert said(answer)[:3] == (400, "invalid_request", text)
