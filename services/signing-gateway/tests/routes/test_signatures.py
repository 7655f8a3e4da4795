import asyncio
import base64
import hashlib
import io
from datetime import timedelta
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from contracts import Expiry
from signing_gateway.algorithms import SigningAlgorithm
from signing_gateway.signing import Order

DIGESTS = [hashlib.sha256(bytes([n])).digest() for n in range(100)]


async def test_signatures_come_back_verified_counted_and_in_order(bed, keys):
    status, body = await bed.sign(*DIGESTS[:20])
    assert status == 200
    assert bed.last["Cache-Control"] == "no-store"
    for digest, made in zip(DIGESTS[:20], body["signatures"], strict=True):
        key = keys["RSA"].public_key()
        key.verify(base64.b64decode(made), digest, padding.PKCS1v15(), Prehashed(hashes.SHA256()))
    (told,) = bed.teller.told
    assert (told.count, told.outcome, told.epoch, told.first, told.total) == (20, "applied", 1, 0, 20)
    assert told.client_service_id == bed.service.client_service_id


async def test_totals_of_one_allowance_are_cumulative(bed):
    bed.ledger.near, bed.ledger.valid_for_ms, bed.ledger.limit = False, 600_000, 10**9
    for _ in range(3):
        await asyncio.gather(*(bed.sign(digest) for digest in DIGESTS[:4]))
    by_allowance: dict[object, int] = {}
    for told in bed.teller.told:
        assert told.total == told.first + told.count
        by_allowance[told.allowance_id] = max(by_allowance.get(told.allowance_id, 0), told.total)
    assert sum(by_allowance.values()) == 12


async def test_the_names_of_version_1_and_nulls_are_taken(bed):
    status, _ = await bed.sign(
        hashes=None,
        hash=[base64.b64encode(DIGESTS[0]).decode()],
        hashAlgo="2.16.840.1.101.3.4.2.1",
        hashAlgorithmOID=None,
        SAD=None,
        clientData=None,
        operationMode="S",
    )
    assert status == 200


async def test_without_the_database_what_needs_it_is_refused_and_the_plain_case_is_served(bed):
    for asked in ({"headers": {"Idempotency-Key": "k"}}, {"SAD": "x"}):
        status, body = await bed.sign(DIGESTS[0], **asked)
        assert (status, body["sinete_error"]) == (503, "records-unavailable")
    assert not bed.authority.journal
    assert (await bed.sign(DIGESTS[0]))[0] == 200


async def test_the_authoritys_own_credential_id_is_taken_too(bed):
    assert (await bed.sign(DIGESTS[0], credentialID="cred/1"))[0] == 200


async def test_an_elliptic_curve_certificate_signs(bed, keys, self_signed):
    bed.authority.key = keys["EC"]
    bed.told(bed.certificate, key_algorithm="EC", key_bits=256, chain=[self_signed(keys["EC"])])
    assert (await bed.sign(DIGESTS[0], signAlgo="1.2.840.10045.4.3.2"))[0] == 200


async def test_twenty_parallel_clients_get_the_four_that_are_left(bed):
    bed.ledger.limit = 4
    bed.authority.delay = 0.02
    answers = await asyncio.gather(*(bed.sign(digest) for digest in DIGESTS[:20]))
    assert sorted(status for status, _ in answers) == [200] * 4 + [403] * 16
    assert {body["error"] for status, body in answers if status == 403} == {"access_denied"}
    assert len(bed.authority.journal) == 4


async def test_a_batch_that_would_exceed_the_limit_is_refused_with_what_is_left(bed):
    bed.ledger.limit = 10
    await bed.sign(*DIGESTS[:7])
    status, body = await bed.sign(*DIGESTS[:5])
    assert (status, body["error"]) == (403, "access_denied")
    assert "3 left" in body["error_description"]
    assert (await bed.sign(*DIGESTS[:3]))[0] == 200


async def test_an_expired_grant_is_refused_at_its_instant_with_monitor_and_bus_away(bed):
    bed.monitor_away, bed.topics.age = True, 1e9
    bed.now += timedelta(days=60)
    assert (await bed.sign(DIGESTS[0]))[0] == 401  # the token is sixty days old
    bed.token = bed.renewed_token()
    status, body = await bed.sign(DIGESTS[0])
    assert (status, body["error"]) == (403, "access_denied")
    assert "renew" in body["error_description"]
    assert not bed.authority.journal


async def test_a_suspended_service_stops_at_once_on_an_open_connection(bed):
    assert (await bed.sign(DIGESTS[0]))[0] == 200
    bed.told(bed.service, status="inactive", reason="access-expired")
    status, body = await bed.sign(DIGESTS[0])
    assert status == 403
    assert "activate" in body["error_description"]


async def test_a_request_that_overtakes_the_news_of_its_activation_is_served(bed):
    bed.told(bed.service, status="inactive", reason="created")
    waiting = asyncio.create_task(bed.sign(DIGESTS[0]))
    await asyncio.sleep(0.2)
    bed.told(bed.service, status="active", version=bed.service.version + 2)
    assert (await asyncio.wait_for(waiting, 10))[0] == 200


async def test_a_service_activated_before_the_expiry_signs_nothing_after_the_renewal(bed, a):
    bed.told(a.grant(bed.certificate.certificate_id), epoch=2, last_expired=Expiry(epoch=1, reason="time", at=bed.now))
    assert (await bed.sign(DIGESTS[0]))[0] == 403


@pytest.mark.parametrize(("what", "changes"), [("certificate", {"status": "inactive"}), ("account", {"status": "suspended"})])
async def test_inactive_certificates_and_suspended_accounts_sign_nothing(bed, what, changes):
    bed.told(getattr(bed, what), **changes)
    assert (await bed.sign(DIGESTS[0]))[0] == 403
    assert not bed.authority.journal


async def test_without_current_news_nothing_is_signed(bed):
    bed.topics.age = 10.5
    status, body = await bed.sign(DIGESTS[0])
    assert (status, body["error"]) == (503, "temporarily_unavailable")
    assert int(bed.last["Retry-After"]) > 0
    assert not bed.authority.journal


async def test_without_the_monitor_nothing_is_signed_and_the_client_may_come_again(bed):
    bed.monitor_away = True
    status, _ = await bed.sign(DIGESTS[0])
    assert (status, bool(bed.last["Retry-After"])) == (503, True)
    assert not bed.authority.journal
    bed.monitor_away = False
    assert (await bed.sign(DIGESTS[0]))[0] == 200


@pytest.mark.parametrize("mishap", ["wrong-key", "wrong-order", "one-less", "garbage"])
async def test_signatures_that_do_not_verify_are_never_released_and_stay_charged(bed, mishap):
    bed.authority.mishap = mishap
    status, body = await bed.sign(*DIGESTS[:2])
    assert (status, body["error"]) == (503, "temporarily_unavailable")
    assert "stays charged" in body["error_description"]
    (told,) = bed.teller.told
    assert (told.outcome, told.count) == ("unknown", 2)


@pytest.mark.parametrize("mishap", ["unknown", "cut", "500", "another-item"])
async def test_an_outcome_that_nobody_knows_stays_charged(bed, mishap):
    bed.authority.mishap = mishap
    status, body = await bed.sign(DIGESTS[0])
    assert status == 503
    assert "stays charged" in body["error_description"]
    assert bed.teller.told[0].outcome == "unknown"
    await bed.asker.close()
    assert sum(bed.ledger.done.values()) == 1


async def test_an_answer_later_than_the_connector_is_given_stays_charged(bed):
    bed.authority.delay = 1.2
    assert (await bed.sign(DIGESTS[0]))[0] == 503
    assert bed.teller.told[0].outcome == "unknown"


@pytest.mark.parametrize(
    ("mishap", "status"),
    [
        ("refused ca-refused", 400),
        ("refused epoch-over", 403),
        ("refused access-withdrawn", 403),
        ("refused credential-disabled", 403),
        ("refused certificate-unknown", 403),
        ("refused ca-unavailable", 503),
        ("401", 503),
    ],
)
async def test_a_definite_refusal_gives_the_units_back(bed, mishap, status):
    bed.ledger.limit = 1
    bed.authority.mishap = mishap
    assert (await bed.sign(DIGESTS[0]))[0] == status
    assert not bed.teller.told
    bed.authority.mishap = ""
    assert (await bed.sign(DIGESTS[0]))[0] == 200


async def test_what_cannot_be_told_is_not_released_and_stays_charged(bed):
    bed.teller.away = True
    status, body = await bed.sign(DIGESTS[0])
    assert status == 503
    assert "stays charged" in body["error_description"]
    await bed.asker.close()
    assert sum(bed.ledger.done.values()) == 1


@pytest.mark.parametrize(
    "meanwhile", [lambda bed: setattr(bed, "now", bed.now + timedelta(days=60)), lambda bed: setattr(bed.topics, "age", 20.0)]
)
async def test_an_answer_after_the_grants_end_or_a_sleep_is_dropped_and_stays_charged(bed, meanwhile):
    bed.authority.before_answer = lambda: meanwhile(bed)
    assert (await bed.sign(DIGESTS[0]))[0] == 503
    assert bed.teller.told[0].outcome == "unknown"


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda bed: setattr(bed, "now", bed.now + timedelta(days=60)),
        lambda bed: setattr(bed.topics, "age", 20.0),
        lambda bed: [setattr(block, "deadline", 0.0) for purse in bed.asker._book._all() for block in purse.allowances],
    ],
    ids=["the grant ends", "the news is old", "the allowance ends"],
)
async def test_what_is_told_too_late_is_not_released_and_is_counted(bed, meanwhile):
    bed.teller.meanwhile = lambda: meanwhile(bed)
    status, body = await bed.sign(DIGESTS[0])
    assert (status, "stays charged" in body["error_description"]) == (503, True)
    assert bed.teller.told[0].outcome == "applied"


async def test_a_renewal_while_a_request_waits_signs_under_the_new_epoch(bed, a):
    bed.ledger.epoch = 2
    waiting = asyncio.create_task(bed.sign(DIGESTS[0]))
    await asyncio.sleep(0.2)
    bed.told(a.grant(bed.certificate.certificate_id), epoch=2)
    assert (await asyncio.wait_for(waiting, 10))[0] == 200
    assert bed.authority.journal[0].epoch == 2


async def test_a_suspension_while_a_request_waits_gives_its_units_back(bed):
    bed.monitor_away = True
    waiting = asyncio.create_task(bed.sign(DIGESTS[0]))
    await asyncio.sleep(0.2)
    bed.told(bed.service, status="inactive", reason="operator")
    bed.monitor_away = False
    assert (await asyncio.wait_for(waiting, 10))[0] == 403
    await bed.asker.close()
    assert bed.ledger.settled == 0
    assert not bed.ledger.open


ORDER = Order(
    SigningAlgorithm("1.2.840.113549.1.1.11", "2.16.840.1.101.3.4.2.1"), [base64.b64encode(DIGESTS[0]).decode()], DIGESTS[:1]
)


async def test_a_request_cut_off_while_the_authority_signs_stays_charged(bed):
    bed.authority.delay = 0.5
    cut = asyncio.create_task(bed.signer.sign(bed.service.client_service_id, ORDER))
    await asyncio.sleep(0.25)
    assert bed.ledger.open
    cut.cancel()
    await asyncio.wait([cut])
    await bed.asker.close()
    assert bed.ledger.settled == 1


async def test_a_request_cut_off_while_it_waits_strands_nothing(bed):
    bed.monitor_away = True
    cut = asyncio.create_task(bed.signer.sign(bed.service.client_service_id, ORDER))
    await asyncio.sleep(0.1)
    cut.cancel()
    await asyncio.wait([cut])
    bed.monitor_away = False
    bed.ledger.limit = 1
    assert (await bed.sign(DIGESTS[0]))[0] == 200
    assert len(bed.authority.journal) == 1


BAD = {
    "credentialID": [None, 7, "nobody", "0193a1b0-0000-7000-8000-0000000000ff", "", ["x"]],
    "signAlgo": [None, 1, "1.2.3", "1.2.840.10045.4.3.2", "1.2.840.113549.1.1.1x"],
    "hashAlgorithmOID": ["1.3.14.3.2.26", 7, "2.16.840.1.101.3.4.2.3"],
    "hashes": [None, [], "AAAA", [1], [None], ["AAAA"], ["!!!!"], ["ä"], [""], [base64.b64encode(b"x" * 64).decode()]],
    "hash": [["AAAA"], 1],
    "SAD": [1, ["x"]],
    "operationMode": ["X", 1],
    "signAlgoParams": [1, "MAA="],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
async def test_bad_input_is_refused_in_the_shape_of_the_api(bed, name, value):
    status, body = await bed.sign(DIGESTS[0], **{name: value})
    assert (status, body["error"]) == (400, "invalid_request")
    assert body["error_description"]
    assert not bed.authority.journal


@pytest.mark.parametrize(
    ("hashes_sent", "text"),
    [
        ([], "Empty hash array"),
        (["!"], "Invalid Base64 hash string parameter"),
        (["AAAA"], "Invalid digest value length"),
        ([base64.b64encode(DIGESTS[0]).decode()] * 101, "Numbers of signatures is too high: at most 100 hashes in one request"),
    ],
)
async def test_the_words_of_the_specification_are_used(bed, hashes_sent, text):
    assert (await bed.sign(hashes=hashes_sent))[1]["error_description"] == text


async def test_another_services_credential_and_an_unknown_one_get_the_same_answer(bed, a):
    other = a.certificate(uuid4(), uuid4(), credential_id="cred/2")
    bed.told(other)
    theirs = await bed.sign(DIGESTS[0], credentialID=str(other.certificate_id))
    assert theirs == await bed.sign(DIGESTS[0], credentialID=str(uuid4()))
    status, body = theirs
    assert (status, body["error"], body["error_description"]) == (400, "invalid_request", "Invalid parameter credentialID")


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"null", b"7", b"\xff", b'{"a":' + b"[" * 100_000, b'{"credentialID":"\xc3\x28"}']
)
async def test_what_is_no_json_object_is_refused(bed, raw):
    status, body = await bed.post("/csc/v2/signatures/signHash", raw=raw)
    assert (status, body["error"]) == (400, "invalid_request")


async def in_pieces():
    for _ in range(17):
        yield b" " * 65_536


@pytest.mark.parametrize("raw", [lambda: io.BytesIO(b" " * 3_000_000), in_pieces])
async def test_a_body_over_one_mebibyte_is_refused_announced_or_not(bed, raw):
    status, body = await bed.post("/csc/v2/signatures/signHash", raw=raw())
    assert (status, body["error"]) == (413, "invalid_request")


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é"])
async def test_without_a_token_that_holds_nothing_is_answered(bed, token):
    for path in ("signatures/signHash", "credentials/list", "credentials/info"):
        status, body = await bed.post(f"/csc/v2/{path}", {}, token=token)
        assert (status, body["error"]) == (401, "invalid_token")
        assert bed.last["WWW-Authenticate"].startswith("Bearer")
