"""Idempotency-Key, on the real database; a second gateway is a second set of connections to it."""

import asyncio
import hashlib
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from signing_gateway.refusals import InvalidRequest
from signing_gateway.routes.once import key_of

pytestmark = pytest.mark.integration

DIGESTS = [hashlib.sha256(bytes([n])).digest() for n in range(10)]
KEY = '"8e03978e-40d5-43e8-bc93-6894a57f9324"'


@pytest.fixture
def records_url(database):
    return database.url


@pytest.fixture
async def another(bed, run):
    """A second gateway in front of the same neighbours and the same database."""
    async with AsyncExitStack() as stack:
        yield await run(replace(bed), stack)


async def sign(bed, *digests, key=KEY, **changes):
    return await bed.sign(*digests, headers={"Idempotency-Key": key}, **changes)


async def test_a_retry_gets_the_same_signatures_and_counts_once(bed):
    first = await sign(bed, *DIGESTS[:2])
    assert "Idempotent-Replayed" not in bed.last
    assert first[0] == 200
    assert await sign(bed, *DIGESTS[:2]) == first
    assert bed.last["Idempotent-Replayed"] == "true"
    assert bed.last["Cache-Control"] == "no-store"
    assert [told.count for told in bed.teller.told] == [2]


async def test_a_retry_at_another_gateway_after_the_first_is_gone_gets_the_same_signatures(bed, another):
    first = await sign(bed, DIGESTS[0])
    bed.presence.cancel()
    assert await sign(another, DIGESTS[0]) == first
    assert len(bed.authority.journal) == 1


def expired(bed, a):
    bed.told(a.grant(bed.certificate.certificate_id), state="expired", expired_reason="time")


def inactive(bed, _a):
    bed.told(bed.service, status="inactive", reason="operator")


def suspended(bed, _a):
    bed.told(bed.account, status="suspended")


@pytest.mark.parametrize("happening", [expired, inactive, suspended])
async def test_what_was_released_lawfully_is_had_again_after_the_access_ended_and_nothing_new_is(bed, a, happening):
    first = await sign(bed, DIGESTS[0])
    happening(bed, a)
    assert await sign(bed, DIGESTS[0]) == first
    assert bed.last["Idempotent-Replayed"] == "true"
    assert (await sign(bed, DIGESTS[0], key='"another"'))[0] == 403
    assert [told.count for told in bed.teller.told] == [1]


async def test_a_client_service_that_is_deleted_gets_nothing_again(bed):
    await sign(bed, DIGESTS[0])
    bed.told(bed.service, status="deleted")
    status, body = await sign(bed, DIGESTS[0])
    assert (status, body["sinete_error"]) == (401, "token-invalid")


async def test_what_is_sent_in_another_form_is_the_same_request(bed):
    first = await sign(bed, DIGESTS[0])
    assert await sign(bed, DIGESTS[0], clientData="other", operationMode=None, key=KEY.strip('"')) == first


@pytest.mark.parametrize("changes", [{"operationMode": "S"}, {"signAlgo": "1.2.840.113549.1.1.1"}])
async def test_another_request_under_the_key_is_refused(bed, changes):
    first = await sign(bed, DIGESTS[0])
    for digest, more in ((DIGESTS[1], {}), (DIGESTS[0], changes)):
        status, body = await sign(bed, digest, **more)
        assert (status, body["error"], body["sinete_error"]) == (422, "invalid_request", "idempotency-key-reused")
    assert await sign(bed, DIGESTS[0]) == first
    assert len(bed.authority.journal) == 1


async def test_a_key_is_its_client_services_own(bed, a):
    other = a.service(bed.certificate.certificate_id, bed.account.account_id)
    bed.known.keep_service(other)
    first = await sign(bed, DIGESTS[0])
    bed.token = bed.tokens.issue(bed.known.services.get(other.client_service_id))
    second = await sign(bed, DIGESTS[1])
    assert (first[0], second[0]) == (200, 200)
    assert first[1] != second[1]


async def test_of_fifty_at_once_one_signs_and_the_others_are_told_to_come_again(bed, another):
    bed.authority.delay = 0.2
    answers = await asyncio.gather(*(sign(gateway, DIGESTS[0]) for gateway in (bed, another) for _ in range(25)))
    assert {status for status, _ in answers} <= {200, 409}
    assert all(body["sinete_error"] == "idempotency-key-under-way" for status, body in answers if status == 409)
    assert len({body["signatures"][0] for status, body in answers if status == 200}) == 1
    assert len(bed.authority.journal) == 1
    assert (await sign(bed, DIGESTS[0]))[0] == 200
    assert len(bed.authority.journal) == 1


async def test_after_an_outcome_that_nobody_knows_a_retry_signs_anew_and_both_stay_charged(bed):
    bed.authority.mishap = "unknown"
    status, body = await sign(bed, DIGESTS[0])
    assert (status, body["sinete_error"]) == (503, "outcome-unknown")
    bed.authority.mishap = ""
    assert (await sign(bed, DIGESTS[0]))[0] == 200
    assert [(told.outcome, told.count) for told in bed.teller.told] == [("unknown", 1), ("applied", 1)]


async def test_a_refusal_is_not_remembered_but_its_key_stays_bound_to_its_request(bed):
    bed.told(bed.service, status="inactive", reason="operator")
    assert (await sign(bed, DIGESTS[0]))[0] == 403
    bed.told(bed.service, status="active", version=3)
    assert (await sign(bed, DIGESTS[1]))[0] == 422
    assert (await sign(bed, DIGESTS[0]))[0] == 200


async def test_a_request_whose_gateway_was_killed_is_signed_anew_by_the_next_at_once(bed, another, database):
    bed.authority.delay = 0.8
    lost = asyncio.create_task(sign(bed, DIGESTS[0]))
    while not await database.rows("keyed_request"):
        await asyncio.sleep(0.02)
    assert (await sign(another, DIGESTS[0]))[0] == 409
    bed.presence.cancel()
    await asyncio.gather(bed.presence, return_exceptions=True)
    bed.authority.delay = 0
    second = await sign(another, DIGESTS[0])
    assert second[0] == 200
    status, body = await lost
    assert (status, body["sinete_error"]) == (503, "outcome-unknown")
    assert await sign(another, DIGESTS[0]) == second
    assert [told.count for told in bed.teller.told] == [1, 1]


async def test_an_attempt_that_a_living_gateway_lost_track_of_is_given_up_in_the_end(bed, database):
    async with database.engine.begin() as connection:
        await sign(bed, DIGESTS[0])
        lost = "UPDATE keyed_request SET answer = NULL, attempt = gen_random_uuid(), holder = h, begun_at = begun FROM "
        known = "(SELECT objid::bigint | (classid::bigint << 32) AS h, timestamptz '2020-01-01' AS begun FROM pg_locks"
        await connection.execute(text(f"{lost}{known} WHERE locktype = 'advisory' AND objsubid = 1) AS locks"))
    assert (await sign(bed, DIGESTS[0]))[0] == 200
    assert len(bed.authority.journal) == 2


async def test_a_key_is_free_again_after_a_day(bed):
    await sign(bed, DIGESTS[0])
    bed.now += timedelta(hours=24)
    bed.token = bed.renewed_token()
    assert (await sign(bed, DIGESTS[1]))[0] == 200


@pytest.mark.parametrize(
    ("header", "key"),
    [('"a b"', "a b"), (r'"a\"b"', 'a"b'), ('"a";x=1', "a"), ("a-1_2.3~:/+=", "a-1_2.3~:/+="), (f'"{"x" * 255}"', "x" * 255)],
)
def test_a_key_is_a_string_in_quotes_or_a_bare_word(header, key):
    assert key_of([header]) == key


@pytest.mark.parametrize(
    "values", [[""], ['""'], ['"'], ["a b"], ['"a", "b"'], ['"a"', '"b"'], ["é"], ['"é"'], ["x" * 256], [r'"\a"']]
)
def test_anything_else_is_no_key(values):
    with pytest.raises(InvalidRequest):
        key_of(values)


async def test_a_malformed_key_is_refused_by_name(bed):
    status, body = await sign(bed, DIGESTS[0], key="a b")
    assert status == 400
    assert "Idempotency-Key" in body["error_description"]
    assert not bed.authority.journal


async def test_no_request_is_kept_but_as_a_digest(bed, database):
    await sign(bed, DIGESTS[0], SAD=None, clientData=f"private {uuid4()}")
    (row,) = await database.rows("keyed_request")
    assert len(row.fingerprint) == 32
    assert b"private" not in row.answer
