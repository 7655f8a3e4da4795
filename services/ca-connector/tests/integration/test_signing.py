import asyncio
from types import SimpleNamespace
from uuid import uuid4

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sqlalchemy import text

from contracts import CaAccessWithdrawn
from observability import tracer

pytestmark = pytest.mark.integration
SIGN, AUTHORIZE, TOKEN = "csc/v2/signatures/signHash", "csc/v2/credentials/authorize", "oauth2/token"
EXTEND = "csc/v2/credentials/extendTransaction"


@pytest.fixture
async def certificate(connector):
    return (await connector.registered(await connector.profile()))["certificate_id"]


async def test_a_batch_is_split_by_multisign_and_comes_back_in_order(connector, certificate):
    signed = await connector.sign(certificate, 8)
    assert (signed["outcome"], len(signed["signatures"])) == ("signed", 8)
    assert [len(body["hashes"]) for body in connector.ca.bodies["signatures/signHash"]] == [3, 3, 2]
    assert len(connector.ca.journal) == 8


async def test_a_pooled_sad_serves_several_calls(connector, certificate):
    for _ in range(3):
        await connector.sign(certificate)
    assert len(connector.ca.bodies["credentials/authorize"]) == 1


async def test_a_pooled_sad_that_is_about_to_end_is_extended(connector, certificate, clock):
    await connector.sign(certificate)
    clock.move(seconds=3_590)
    for _ in range(2):
        assert (await connector.sign(certificate))["outcome"] == "signed"
    assert (connector.ca.calls[AUTHORIZE], connector.ca.calls[EXTEND]) == (1, 1)


async def test_a_ca_that_does_not_extend_is_asked_for_another_sad_and_not_to_extend_again(connector, certificate, clock):
    connector.ca.moods[EXTEND] += [404, 404]
    await connector.sign(certificate)
    for times in (2, 3):
        clock.move(seconds=3_590)
        assert (await connector.sign(certificate))["outcome"] == "signed"
        assert (connector.ca.calls[AUTHORIZE], connector.ca.calls[EXTEND]) == (times, 1)


async def test_a_sad_that_has_ended_is_not_extended(connector, certificate, clock):
    await connector.sign(certificate)
    clock.move(seconds=3_700)
    assert (await connector.sign(certificate))["outcome"] == "signed"
    assert (connector.ca.calls[AUTHORIZE], connector.ca.calls[EXTEND]) == (2, 0)


async def test_what_is_not_known_or_over_is_refused_without_a_call_to_the_ca(connector, certificate, clock):
    assert (await connector.sign(uuid4()))["reason"] == "certificate-unknown"
    assert (await connector.sign(certificate, epoch=2))["reason"] in {"epoch-over", "certificate-unknown"}
    clock.move(days=60)
    assert (await connector.sign(certificate))["reason"] == "epoch-over"
    assert connector.ca.calls[SIGN] == 0


async def test_an_epoch_that_was_replaced_stays_good_until_its_own_end(connector, certificate, clock):
    profile = (await connector.call("GET", "certificate-authorities"))[1]["items"][0]["id"]
    clock.move(days=30)
    await connector.renewed(profile, certificate)
    assert (await connector.sign(certificate, epoch=1))["outcome"] == "signed"
    clock.move(days=31)
    assert (await connector.sign(certificate, epoch=1))["reason"] == "epoch-over"
    assert (await connector.sign(certificate, epoch=2))["outcome"] == "signed"


@pytest.mark.parametrize(
    ("mood", "outcome"),
    [
        ((400, {"error": "invalid_request", "error_description": "Invalid digest value length"}), "refused"),
        (500, "unknown"),
        (503, "unknown"),
        ("hang", "unknown"),
        ("cut", "unknown"),
        ((200, {}), "unknown"),
        ((200, {"signatures": []}), "unknown"),
        ((200, {"signatures": ["AA==", "AA=="]}), "unknown"),
    ],
)
async def test_each_mishap_at_signing_is_told_as_what_it_is(connector, certificate, mood, outcome):
    connector.ca.moods[SIGN].append(mood)
    result = await connector.sign(certificate)
    assert result["outcome"] == outcome
    assert result["signatures"] == []
    assert await connector.told(CaAccessWithdrawn) == []


@pytest.mark.parametrize("mood", [500, "hang", "cut"])
@pytest.mark.parametrize("endpoint", [AUTHORIZE, TOKEN])
async def test_a_failure_before_anything_could_be_signed_is_a_definite_refusal(connector, certificate, clock, endpoint, mood):
    if endpoint == TOKEN:
        clock.move(hours=2)
    connector.ca.moods[endpoint].append(mood)
    result = await connector.sign(certificate)
    assert (result["outcome"], result["reason"]) == ("refused", "ca-unavailable")
    assert await connector.told(CaAccessWithdrawn) == []


async def test_a_later_chunk_that_fails_leaves_the_whole_item_unknown(connector, certificate):
    connector.ca.moods[SIGN] += [None, (400, {"error": "invalid_request"})]
    assert (await connector.sign(certificate, 5))["outcome"] == "unknown"


async def test_an_expired_access_token_is_refreshed_and_nothing_is_withdrawn(connector, certificate):
    connector.ca.access.clear()
    assert (await connector.sign(certificate))["outcome"] == "signed"
    assert await connector.told(CaAccessWithdrawn) == []


async def test_a_dead_refresh_token_withdraws_access_once_and_signing_is_refused_from_then_on(connector, certificate, clock):
    connector.ca.withdraw_everything()
    for _ in range(3):
        assert (await connector.sign(certificate))["reason"] == "access-withdrawn"
    withdrawn = await connector.told(CaAccessWithdrawn)
    assert [(each.epoch, each.by) for each in withdrawn] == [(1, "certificate-authority")]


async def test_a_401_directly_after_a_good_refresh_withdraws_access(connector, certificate):
    connector.ca.withdrawn.add("SEAL-1")
    assert (await connector.sign(certificate))["reason"] == "access-withdrawn"
    assert len(await connector.told(CaAccessWithdrawn)) == 1


async def test_our_own_wrong_secret_withdraws_nothing(connector, certificate):
    connector.ca.access.clear()
    connector.ca.moods[TOKEN].append((401, {"error": "invalid_client"}))
    result = await connector.sign(certificate)
    assert result["outcome"] == "refused"
    assert result["reason"] != "access-withdrawn"
    assert await connector.told(CaAccessWithdrawn) == []
    assert (await connector.sign(certificate))["outcome"] == "signed"


async def test_tokens_that_die_with_the_epoch_are_time_and_no_withdrawal(connector, certificate, clock):
    clock.move(days=59, hours=23, minutes=59, seconds=30)
    connector.ca.withdraw_everything()
    assert (await connector.sign(certificate))["outcome"] == "refused"
    assert await connector.told(CaAccessWithdrawn) == []


async def test_two_connectors_that_refresh_at_once_make_one_call(connector, a_connector, certificate):
    other = await a_connector()
    connector.ca.access.clear()
    before = connector.ca.calls[TOKEN]
    results = await asyncio.gather(*(each.sign(certificate) for each in (connector, other) for _ in range(5)))
    assert {result["outcome"] for result in results} == {"signed"}
    assert connector.ca.calls[TOKEN] == before + 1


async def test_more_than_five_withdrawals_of_one_ca_in_a_minute_are_held(connector, make_chain):
    profile = await connector.profile()
    for number in range(8):
        connector.ca.credentials[f"C{number}"] = SimpleNamespace(chain=make_chain(), enabled=True)
    certificates = [(await connector.registered(profile, f"C{number}"))["certificate_id"] for number in range(8)]
    connector.ca.withdraw_everything()
    for certificate in certificates:
        assert (await connector.sign(certificate))["outcome"] == "refused"
    assert len(await connector.told(CaAccessWithdrawn)) == 5


async def test_withdrawals_are_held_as_well_when_all_come_at_the_same_instant(connector, make_chain):
    profile = await connector.profile()
    for number in range(10):
        connector.ca.credentials[f"C{number}"] = SimpleNamespace(chain=make_chain(), enabled=True)
    certificates = [(await connector.registered(profile, f"C{number}"))["certificate_id"] for number in range(10)]
    connector.ca.withdraw_everything()
    await asyncio.gather(*(connector.sign(certificate) for certificate in certificates))
    assert len(await connector.told(CaAccessWithdrawn)) == 5


async def test_access_given_up_is_over_at_once_and_told_once(connector, certificate):
    body = {"operator_id": str(uuid4())}
    for _ in range(2):
        assert (await connector.call("POST", f"certificates/{certificate}/revocation", body))[0] == 204
    assert (await connector.sign(certificate))["reason"] == "access-withdrawn"
    assert [each.by for each in await connector.told(CaAccessWithdrawn)] == ["operator"]


async def test_a_renewal_brings_given_up_access_back_under_the_next_epoch(connector, certificate):
    await connector.call("POST", f"certificates/{certificate}/revocation", {"operator_id": str(uuid4())})
    profile = (await connector.call("GET", "certificate-authorities"))[1]["items"][0]["id"]
    _, walk = await connector.renewed(profile, certificate)
    assert walk["granted"]["epoch"] == 2
    assert (await connector.sign(certificate, epoch=2))["outcome"] == "signed"
    assert (await connector.sign(certificate, epoch=1))["outcome"] == "refused"


async def test_access_given_up_while_a_ca_is_read_for_the_first_time_is_not_used(connector, a_connector):
    profile = await connector.profile(approval="in-back-office", signing="sad-per-grant")
    certificate = (await connector.registered(profile))["certificate_id"]
    fresh = await a_connector()
    async with connector.engine.begin() as connection:
        await connection.execute(text("LOCK TABLE certificate_authority IN ACCESS EXCLUSIVE MODE"))
        signing = asyncio.create_task(fresh.sign(certificate))
        waits = text("SELECT count(*) FROM pg_locks WHERE relation = 'certificate_authority'::regclass AND NOT granted")
        async with asyncio.timeout(20):
            while not await connection.scalar(waits):
                await asyncio.sleep(0.01)
        assert (await connector.call("POST", f"certificates/{certificate}/revocation", {"operator_id": str(uuid4())}))[0] == 204
    result = await signing
    assert (result["outcome"], result["reason"]) == ("refused", "access-withdrawn")
    assert connector.ca.calls[SIGN] == 0


async def test_tokens_of_one_certificate_put_into_anothers_row_open_for_nobody(connector, certificate):
    other = (await connector.registered(await connector.profile(), "SEAL-2"))["certificate_id"]
    swap = """
        UPDATE ca_access a SET tokens = b.tokens, token_version = a.token_version + 1
        FROM ca_access b WHERE a.certificate_id <> b.certificate_id
    """
    async with connector.engine.begin() as connection:
        await connection.execute(text(swap))
    signed_before = len(connector.ca.journal)
    for each in (certificate, other):
        item = {"item_id": str(uuid4()), "certificate_id": each, "epoch": 1, "hashes": ["AAAA"]}
        algorithms = {"hash_algorithm_oid": "2.16.840.1.101.3.4.2.1", "sign_algorithm_oid": "1.2.840.10045.4.3.2"}
        status, reply = await connector.call("POST", "signatures", {"items": [{**item, **algorithms}]}, service="signing-gateway")
        assert (status, reply[0]["outcome"]) == (200, "refused")
    assert len(connector.ca.journal) == signed_before


async def test_one_row_that_does_not_open_spoils_no_other_item_of_the_call(connector, certificate):
    other = (await connector.registered(await connector.profile(), "SEAL-2"))["certificate_id"]
    async with connector.engine.begin() as connection:
        spoil = text("UPDATE ca_access SET tokens = decode('01', 'hex'), token_version = 9 WHERE certificate_id = :id")
        await connection.execute(spoil, {"id": other})
    spoilt, good = await asyncio.gather(connector.sign(other), connector.sign(certificate))
    assert (spoilt["outcome"], spoilt["reason"], good["outcome"]) == ("refused", "ca-unavailable", "signed")


async def test_forty_calls_at_once_with_an_expired_token_refresh_once_and_all_sign(connector, certificate, clock):
    clock.move(hours=2)
    before = connector.ca.calls[TOKEN]
    results = await asyncio.gather(*(connector.sign(certificate) for _ in range(40)))
    assert {result["outcome"] for result in results} == {"signed"}
    assert connector.ca.calls[TOKEN] == before + 1


async def test_items_of_several_certificates_are_each_answered_once_by_their_ids(connector, certificate):
    unknown = str(uuid4())
    algorithms = {"hash_algorithm_oid": "2.16.840.1.101.3.4.2.1", "sign_algorithm_oid": "1.2.840.10045.4.3.2"}
    items = [
        {"item_id": str(uuid4()), "certificate_id": each, "epoch": 1, "hashes": ["AAAA"], **algorithms}
        for each in (unknown, certificate, unknown, certificate)
    ]
    _, results = await connector.call("POST", "signatures", {"items": items}, service="signing-gateway")
    assert len(results) == 4
    told = {result["item_id"]: result["outcome"] for result in results}
    assert [told[item["item_id"]] for item in items] == ["refused", "signed", "refused", "signed"]


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [("{", 400, "malformed-json"), ('{"items": []}', 422, "invalid-input"), ('{"items": [{}]}', 422, "invalid-input")],
)
async def test_what_is_no_call_is_refused_before_anything_is_asked(connector, certificate, body, status, kind):
    headers = {"Authorization": f"Bearer {connector.issuers['signing-gateway'].issue('ca-connector')}"}
    answer = await connector.client.post("/internal/v1/signatures", content=body, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (status, kind)


async def test_only_a_gateway_may_sign(connector, certificate):
    assert (await connector.call("POST", "signatures", {"items": []}))[0] == 403
    assert (await connector.client.post("/internal/v1/signatures", json={"items": []})).status_code == 401


async def test_a_call_larger_than_the_connector_reads_is_refused_however_it_is_sent(connector):
    async def in_pieces():
        for _ in range(9):
            yield b" " * 1024 * 1024

    headers = {"Authorization": f"Bearer {connector.issuers['signing-gateway'].issue('ca-connector')}"}
    for content in (in_pieces(), b" " * 9 * 1024 * 1024):
        answer = await connector.client.post("/internal/v1/signatures", content=content, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (413, "body-too-large")


async def held_back(connector, certificate, sizes, under_way):
    """The results of a bulk call with items of these sizes, and how many hashes each `signHash` had, `under_way` at a time."""
    ca, algorithms = connector.ca, {"hash_algorithm_oid": "2.16.840.1.101.3.4.2.1", "sign_algorithm_oid": "1.2.840.10045.4.3.2"}
    ca.held_back["SEAL-1"] = asyncio.Event()
    items = [
        {"item_id": str(uuid4()), "certificate_id": certificate, "epoch": 1, "hashes": ["AAAA"] * size, **algorithms}
        for size in sizes
    ]
    asked = asyncio.create_task(connector.call("POST", "signatures", {"items": items}, service="signing-gateway"))
    async with asyncio.timeout(30):
        while len(ca.asked) < under_way:
            await asyncio.sleep(0.005)
    ca.held_back["SEAL-1"].set()
    _, results = await asked
    return [result["outcome"] for result in results], ca.asked


async def test_what_fills_several_calls_to_a_ca_has_them_under_way_together(connector, certificate):
    assert await held_back(connector, certificate, [3] * 5, under_way=4) == (["signed"] * 5, [3] * 5)


async def test_of_items_that_were_refused_together_none_waits_for_another(connector, certificate):
    connector.ca.moods[SIGN].append((400, {"error": "invalid_request"}))
    assert await held_back(connector, certificate, [1] * 3, under_way=3) == (["signed"] * 3, [1] * 3)


async def test_of_a_traced_call_only_the_items_whose_requests_are_traced_have_spans_at_the_ca(connector, certificate):
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider())
    exporter = InMemorySpanExporter()
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
    for traced in (True, False):
        with tracer("a").start_as_current_span("a bulk call"):
            assert (await connector.sign(certificate, traced=traced))["outcome"] == "signed"
        names = [span.name for span in exporter.get_finished_spans()]
        assert names.count("sign at the CA") == 1
    exporter.shutdown()
