"""Requests with operationMode A, on the real database; a second gateway is a second set of connections to it."""

import asyncio
import base64
import hashlib
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

pytestmark = pytest.mark.integration

DEADLOCK = """CREATE FUNCTION deadlock() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END $$"""
DIGESTS = [hashlib.sha256(bytes([n])).digest() for n in range(40)]


@pytest.fixture
def records_url(database):
    return database.url


@pytest.fixture
def neighbours(neighbours):
    neighbours.patience_s = 10.0  # with an authority that a test slows down
    return neighbours


@pytest.fixture
async def another(bed, run):
    async with AsyncExitStack() as stack:
        yield await run(replace(bed), stack)


@asynccontextmanager
async def working(bed):
    """The gateway's worker, ended as a process that drains ends it."""
    task = asyncio.create_task(bed.deferring.run())
    yield
    await bed.deferring.close()
    await task


async def accepted(bed, *digests, **changes):
    status, body = await bed.sign(*digests, operationMode="A", **changes)
    assert status == 200
    assert body.keys() == {"responseID"}
    return body["responseID"]


async def poll(bed, response_id):
    return await bed.post("/csc/v2/signatures/signPolling", {"requestID": response_id, "lang": None, "clientData": None})


async def decided(bed, response_id):
    """What polling answers in the end."""
    while True:
        status, body = await poll(bed, response_id)
        if status != 202:
            return status, body
        assert body["error"] == "accepted_request"
        assert bed.last["Retry-After"] == "1"
        await asyncio.sleep(0.05)


async def test_signatures_can_be_fetched_later_and_again(bed, keys):
    response_id = await accepted(bed, *DIGESTS[:3])
    assert (await poll(bed, response_id))[0] == 202
    async with working(bed):
        status, body = await decided(bed, response_id)
    assert status == 200
    for digest, made in zip(DIGESTS[:3], body["signatures"], strict=True):
        keys["RSA"].public_key().verify(base64.b64decode(made), digest, padding.PKCS1v15(), Prehashed(hashes.SHA256()))
    assert await poll(bed, response_id) == (status, body)
    assert [told.count for told in bed.teller.told] == [3]


async def test_what_was_signed_before_the_access_ended_is_fetched_after_it_unless_the_client_service_is_deleted(bed):
    response_id = await accepted(bed, DIGESTS[0])
    async with working(bed):
        first = await decided(bed, response_id)
    bed.told(bed.service, status="inactive", reason="access-expired")
    assert await poll(bed, response_id) == first
    assert first[0] == 200
    bed.told(bed.service.model_copy(update={"version": 7}), status="deleted")
    assert (await poll(bed, response_id))[0] == 401


async def test_what_one_gateway_accepted_another_signs_after_a_restart(bed, another):
    response_id = await accepted(bed, DIGESTS[0])
    bed.presence.cancel()
    async with working(another):
        assert (await decided(another, response_id))[0] == 200


async def test_two_gateways_sign_each_of_forty_once(bed, another):
    ids = [await accepted((bed, another)[n % 2], digest) for n, digest in enumerate(DIGESTS)]
    async with working(bed), working(another):
        answers = [await decided(bed, response_id) for response_id in ids]
    assert {status for status, _ in answers} == {200}
    assert len(bed.authority.journal) == 40


async def test_an_order_whose_gateway_died_ends_as_unknown_and_is_not_signed_again(bed, another, database):
    bed.authority.delay = 0.8
    response_id = await accepted(bed, DIGESTS[0])
    dying = asyncio.create_task(bed.deferring.run())
    while [row.status for row in await database.rows("deferred_order")] != ["signing"]:
        await asyncio.sleep(0.02)
    bed.presence.cancel()
    await asyncio.gather(bed.presence, return_exceptions=True)
    async with working(another):
        status, body = await decided(another, response_id)
    assert (status, body["sinete_error"]) == (503, "outcome-unknown")
    assert "stays charged" in body["error_description"]
    assert "Retry-After" not in another.last
    await bed.deferring.close()
    await dying
    assert (await poll(another, response_id))[0] == 503
    assert len(bed.authority.journal) == 1


async def test_faults_of_the_database_stop_no_signature_and_no_worker(bed, database):
    bed.authority.delay = 0.5
    first, second = await accepted(bed, DIGESTS[0]), await accepted(bed, DIGESTS[1])
    async with working(bed):
        while [row.status for row in await database.rows("deferred_order")] != ["signing", "signing"]:
            await asyncio.sleep(0.02)
        await database.run(DEADLOCK)
        await database.run("CREATE TRIGGER t BEFORE UPDATE ON deferred_order EXECUTE FUNCTION deadlock()")
        third = await accepted(bed, DIGESTS[2])
        await asyncio.sleep(2.5)
        await database.run("DROP TRIGGER t ON deferred_order")
        assert [(await decided(bed, each))[0] for each in (first, second, third)] == [200] * 3
    assert len(bed.authority.journal) == 3


async def test_an_order_that_cannot_be_recorded_leaves_those_beside_it_alone(bed, database, monkeypatch):
    monkeypatch.setattr("signing_gateway.deferring.FAULTS_BORNE", 1)
    first, second = await accepted(bed, DIGESTS[0]), await accepted(bed, DIGESTS[1])
    when = f"NEW.status = 'decided' AND NEW.answer_status = 200 AND NEW.response_id = '{first}'"
    await database.run(DEADLOCK)
    await database.run(f"CREATE TRIGGER t BEFORE UPDATE ON deferred_order FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION deadlock()")
    bed.authority.delay = 0.5
    async with working(bed):
        assert (await decided(bed, second))[0] == 200
        assert (await poll(bed, first))[0] == 202
        await database.run("UPDATE deferred_order SET begun_at = begun_at - interval '119 seconds'")
        assert (await decided(bed, first))[1]["sinete_error"] == "outcome-unknown"
    assert len(bed.authority.journal) == 2


async def test_a_gateway_that_drains_finishes_what_it_signs(bed, database):
    bed.authority.delay = 0.5
    response_id = await accepted(bed, DIGESTS[0])
    async with working(bed):
        while [row.status for row in await database.rows("deferred_order")] != ["signing"]:
            await asyncio.sleep(0.02)
    assert (await poll(bed, response_id))[0] == 200


async def test_a_refusal_is_the_answer_too(bed):
    response_id = await accepted(bed, DIGESTS[0])
    bed.told(bed.service, status="inactive", reason="operator")
    async with working(bed):
        status, body = await decided(bed, response_id)
    assert (status, body["sinete_error"]) == (403, "client-service-inactive")


async def test_what_passes_by_itself_is_waited_for(bed):
    bed.monitor_away = True
    response_id = await accepted(bed, DIGESTS[0])
    async with working(bed):
        await asyncio.sleep(1)
        assert (await poll(bed, response_id))[0] == 202
        bed.monitor_away = False
        assert (await decided(bed, response_id))[0] == 200


async def test_orders_that_have_to_wait_keep_no_others_from_being_signed(bed, a):
    unheard_of = bed.certificate.model_copy(update={"certificate_id": uuid4()})
    other = a.service(unheard_of.certificate_id, bed.account.account_id)
    for event in (unheard_of, other):
        bed.known.apply()[type(event)](event)
    ours, bed.token = bed.token, bed.tokens.issue(bed.known.services.get(other.client_service_id))
    for digest in DIGESTS[:8]:
        await accepted(bed, digest, credentialID=str(unheard_of.certificate_id))
    bed.token, bed.now = ours, bed.now + timedelta(seconds=1)
    response_id = await accepted(bed, DIGESTS[8])
    async with asyncio.timeout(30), working(bed):
        assert (await decided(bed, response_id))[0] == 200


async def test_a_client_service_has_a_thousand_orders_waiting_and_no_more(bed, database):
    _, body = await bed.post(
        "/csc/v2/credentials/authorize", {"credentialID": str(bed.certificate.certificate_id), "numSignatures": 1}
    )
    await accepted(bed, DIGESTS[0])
    columns = "client_service_id, status, accepted_at, not_before, kept_until"
    copies = f"SELECT gen_random_uuid(), {columns} FROM deferred_order, generate_series(1, 999)"
    await database.run(f"INSERT INTO deferred_order (response_id, {columns}) {copies}")
    status, refused = await bed.sign(DIGESTS[1], operationMode="A", SAD=body["SAD"])
    assert (status, refused["sinete_error"], bed.last["Retry-After"]) == (429, "too-many-waiting", "5")
    assert (await bed.sign(DIGESTS[1], SAD=body["SAD"]))[0] == 200
    await database.run("UPDATE deferred_order SET client_service_id = gen_random_uuid()")
    await accepted(bed, DIGESTS[1])


async def test_what_does_not_pass_in_five_minutes_is_refused(bed):
    bed.monitor_away = True
    response_id = await accepted(bed, DIGESTS[0])
    bed.now += timedelta(minutes=5)
    async with working(bed):
        assert (await decided(bed, response_id))[1]["sinete_error"] == "allowance-unavailable"


async def test_an_order_for_a_certificate_that_is_the_services_no_more_is_refused(bed, a):
    response_id = await accepted(bed, DIGESTS[0])
    other = bed.certificate.model_copy(update={"certificate_id": uuid4()})
    for event in (other, a.grant(other.certificate_id)):
        bed.known.apply()[type(event)](event)
    bed.told(bed.service, certificate_id=other.certificate_id)
    async with working(bed):
        assert (await decided(bed, response_id))[1]["sinete_error"] == "credential-unknown"
    assert not bed.authority.journal


async def test_a_sad_is_spent_when_the_order_is_accepted_and_given_back_when_it_is_refused(bed):
    asked = {"credentialID": str(bed.certificate.certificate_id), "numSignatures": 1}
    _, body = await bed.post("/csc/v2/credentials/authorize", asked)
    response_id = await accepted(bed, DIGESTS[0], SAD=body["SAD"])
    assert (await bed.sign(DIGESTS[1], SAD=body["SAD"]))[1]["error_description"] == "Invalid parameter SAD"
    bed.authority.mishap = "refused request-refused"
    async with working(bed):
        assert (await decided(bed, response_id))[0] == 400
    bed.authority.mishap = ""
    assert (await bed.sign(DIGESTS[1], SAD=body["SAD"]))[0] == 200


async def test_a_retry_with_its_key_places_no_second_order(bed, database):
    key = {"Idempotency-Key": '"k"'}
    response_id = await accepted(bed, DIGESTS[0], headers=key)
    assert await accepted(bed, DIGESTS[0], headers=key) == response_id
    assert len(await database.rows("deferred_order")) == 1


async def test_another_services_request_and_an_unknown_one_do_not_exist(bed, a):
    response_id = await accepted(bed, DIGESTS[0])
    other = a.service(bed.certificate.certificate_id, bed.account.account_id)
    bed.known.keep_service(other)
    bed.token = bed.tokens.issue(bed.known.services.get(other.client_service_id))
    theirs = await poll(bed, response_id)
    assert (theirs[0], theirs[1]["error_description"]) == (400, "Invalid parameter requestID")
    assert theirs == await poll(bed, str(uuid4())) == await poll(bed, "x" * 10_000)


@pytest.mark.parametrize(("asked", "hours"), [(None, 24), (3_600_000, 1), (10**15, 24)])
async def test_an_answer_is_kept_as_long_as_asked_for_but_no_longer_than_a_day(bed, asked, hours):
    response_id = await accepted(bed, DIGESTS[0], validity_period=asked)
    async with working(bed):
        assert (await decided(bed, response_id))[0] == 200
    bed.now += timedelta(hours=hours, seconds=-1)
    bed.token = bed.renewed_token()
    assert (await poll(bed, response_id))[0] == 200
    bed.now += timedelta(seconds=1)
    assert (await poll(bed, response_id))[1]["sinete_error"] == "request-unknown"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("response_uri", "http://169.254.169.254/", "Invalid parameter response_uri"),
        ("response_uri", "", "Invalid parameter response_uri"),
        ("validity_period", 0, "Invalid parameter validity_period"),
        ("validity_period", -1, "Invalid parameter validity_period"),
        ("validity_period", "1", "Missing (or invalid type) integer parameter validity_period"),
        ("operationMode", "X", "Missing (or invalid type) string parameter operationMode"),
    ],
)
async def test_bad_input_is_refused_by_name(bed, database, name, value, text):
    status, body = await bed.sign(DIGESTS[0], **{"operationMode": "A", name: value})
    assert (status, body["error"]) == (400, "invalid_request")
    assert body["error_description"].startswith(text)
    assert not await database.rows("deferred_order")


async def test_with_operation_mode_s_nobody_looks_at_what_belongs_to_a(bed):
    assert (await bed.sign(DIGESTS[0], operationMode="S", response_uri="http://x/", validity_period=-1))[0] == 200
