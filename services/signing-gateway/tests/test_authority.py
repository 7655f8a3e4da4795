import asyncio
import base64
from contextlib import suppress
from uuid import uuid4

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from contracts.ca_connector import SignCall
from hosting import utc_now
from hosting.calls import CallNotSent, CallOutcomeUnknown, CallRefused, InternalCalls
from hosting.service_tokens import TokenIssuer
from observability import traceparent
from signing_gateway import authority
from signing_gateway.authority import CALLS_PER_CERTIFICATE, PATH, QUICK_CALLS, Authority
from signing_gateway.wire import SignItem

MAX_BODY = 8 * 1024 * 1024  # what the connector reads
LONGEST = base64.b64encode(bytes(64)).decode()  # of SHA-512


class Connector:
    """The connector as its client sees it: each call's items, and its answer line by line, when a test says so."""

    def __init__(self):
        self.calls = []
        self.failing = None

    async def lines(self, _path, body):
        assert len(body) < MAX_BODY
        call = Answering([str(item.item_id) for item in SignCall.model_validate_json(body).items])
        self.calls.append(call)
        if self.failing:
            raise self.failing
        while (line := await call.told.get()) is not None:
            if isinstance(line, Exception):
                raise line
            yield line

    async def called(self, count):
        async with asyncio.timeout(5):
            while len(self.calls) < count:
                await asyncio.sleep(0.001)


class Answering:
    def __init__(self, ids):
        self.ids, self.told = ids, asyncio.Queue()

    def answer(self, *ids):
        self.told.put_nowait(
            "\n".join(f'{{"item_id":"{each}","outcome":"signed","signatures":["{each}"]}}' for each in ids).encode()
        )

    def end(self, fault=None):
        self.told.put_nowait(fault)


@pytest.fixture
def connector():
    return Connector()


@pytest.fixture
def at_authority(connector):
    return Authority(connector)


def an_item(hashes=("AAAA",), certificate_id=None):
    algorithms = "2.16.840.1.101.3.4.2.1", "1.2.840.113549.1.1.11"
    return SignItem(str(uuid4()), certificate_id or uuid4(), 1, list(hashes), *algorithms)


def signing(at_authority, count, **what):
    items = [an_item(**what) for _ in range(count)]

    async def waits(item):
        return await at_authority.asked(item)

    return items, [asyncio.create_task(waits(item)) for item in items]


async def test_one_alone_is_sent_at_once_and_what_comes_while_calls_are_under_way_goes_together(connector, at_authority):
    tasks = []
    for number in range(QUICK_CALLS):
        tasks += signing(at_authority, 1)[1]
        await connector.called(number + 1)
    items, waiting = signing(at_authority, 3)
    await asyncio.sleep(0)
    assert [len(call.ids) for call in connector.calls] == [1] * QUICK_CALLS
    connector.calls[0].answer(*connector.calls[0].ids)
    connector.calls[0].end()
    await connector.called(QUICK_CALLS + 1)
    assert connector.calls[-1].ids == [item.item_id for item in items]
    for call in connector.calls[1:]:
        call.answer(*call.ids)
        call.end()
    results = await asyncio.gather(*tasks, *waiting)
    assert all(result.signatures == [result.item_id] for result in results)


async def test_those_that_come_in_one_turn_of_the_loop_share_a_call(connector, at_authority):
    items, tasks = signing(at_authority, 5)
    await connector.called(1)
    assert connector.calls[0].ids == [item.item_id for item in items]
    connector.calls[0].answer(*reversed(connector.calls[0].ids))
    connector.calls[0].end()
    assert [result.item_id for result in await asyncio.gather(*tasks)] == [item.item_id for item in items]


async def test_each_hears_its_answer_as_soon_as_it_comes(connector, at_authority):
    items, (quick, slow) = signing(at_authority, 2)
    await connector.called(1)
    connector.calls[0].answer(items[0].item_id)
    assert (await quick).item_id == items[0].item_id
    assert not slow.done()
    connector.calls[0].answer(items[1].item_id)
    assert (await slow).item_id == items[1].item_id


async def test_calls_to_slow_authorities_hold_up_nobody(connector, at_authority):
    for number in range(QUICK_CALLS):
        signing(at_authority, 1)
        await connector.called(number + 1)
    signing(at_authority, 1)
    await connector.called(QUICK_CALLS + 1)  # after a moment, with none of them answered


async def test_a_call_never_takes_more_than_the_connector_reads(connector, at_authority, monkeypatch):
    monkeypatch.setattr(authority, "MOST", 2)
    signing(at_authority, 5)
    await connector.called(QUICK_CALLS)
    assert [len(call.ids) for call in connector.calls[:QUICK_CALLS]] == [2] * QUICK_CALLS


async def test_large_items_that_wait_together_are_parted_into_calls_that_the_connector_reads(connector, at_authority):
    _, tasks = signing(at_authority, 178, hashes=[LONGEST] * 1_000)
    for number in range(1, 6):
        await connector.called(number)
        connector.calls[-1].answer(*connector.calls[-1].ids)
        connector.calls[-1].end()
    assert {result.outcome for result in await asyncio.gather(*tasks)} == {"signed"}
    assert [len(call.ids) for call in connector.calls] == [40, 40, 40, 40, 18]


async def test_an_item_larger_than_a_call_should_be_goes_by_itself(connector, at_authority, monkeypatch):
    monkeypatch.setattr(authority, "MOST_HASHES", 2)
    for size in (1, 3, 1):
        signing(at_authority, 1, hashes=["AAAA"] * size)
    await connector.called(3)
    assert [len(call.ids) for call in connector.calls] == [1, 1, 1]


@pytest.mark.parametrize("fault", [CallNotSent("away"), CallRefused(401, "refused", "no")])
async def test_a_call_that_was_not_taken_fails_each_of_its_items_alike(connector, at_authority, fault):
    connector.failing = fault
    _, tasks = signing(at_authority, 3)
    assert await asyncio.gather(*tasks, return_exceptions=True) == [fault] * 3


@pytest.mark.parametrize("rest", [None, CallOutcomeUnknown("cut"), b'{"item_id":', b'{"item_id":"nobody","outcome":"signed"}'])
async def test_whoever_was_not_answered_when_a_call_ends_does_not_know_its_outcome(connector, at_authority, rest):
    items, (answered, unheard) = signing(at_authority, 2)
    await connector.called(1)
    connector.calls[0].answer(items[0].item_id)
    connector.calls[0].told.put_nowait(rest)
    connector.calls[0].end()
    assert (await answered).item_id == items[0].item_id
    with pytest.raises(CallOutcomeUnknown):
        await unheard


async def test_who_went_away_before_its_call_is_not_sent(connector, at_authority):
    items, tasks = signing(at_authority, 2)
    await asyncio.sleep(0)
    tasks[0].cancel()
    await connector.called(1)
    assert items[1].item_id in connector.calls[0].ids


class SlowAndQuick:
    """A connector behind HTTP, and two authorities: one answers at once, the other when a test lets it."""

    def __init__(self, slow):
        self.slow, self.released, self.slow_calls = slow, asyncio.Event(), 0

    async def signatures(self, request):
        call = SignCall.model_validate_json(await request.read())
        answer = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await answer.prepare(request)
        self.slow_calls += any(item.certificate_id == self.slow for item in call.items)
        with suppress(ConnectionError):
            for item in sorted(call.items, key=lambda item: item.certificate_id == self.slow):
                if item.certificate_id == self.slow:
                    await self.released.wait()
                await answer.write(f'{{"item_id":"{item.item_id}","outcome":"signed","signatures":["AAAA"]}}\n'.encode())
        return answer


@pytest.fixture
async def slow_and_quick():
    server = SlowAndQuick(uuid4())
    app = web.Application()
    app.add_routes([web.post(PATH, server.signatures)])
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    server.released.set()
    await runner.cleanup()


async def test_an_authority_that_takes_long_does_not_keep_a_quick_ones_calls_from_being_sent(slow_and_quick, monkeypatch):
    monkeypatch.setattr(authority, "QUICK_S", 0.001)
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    issuer = TokenIssuer("signing-gateway", key, utc_now)
    async with InternalCalls(slow_and_quick.url, audience="ca-connector", issuer=issuer) as calls:
        at_authority, slow = Authority(calls), []
        for _ in range(300):
            slow += signing(at_authority, 1, certificate_id=slow_and_quick.slow)[1]
            await asyncio.sleep(0.003)
        quick = [(await at_authority.asked(an_item(certificate_id=uuid4()))).outcome for _ in range(20)]
        assert quick == ["signed"] * 20
        assert slow_and_quick.slow_calls == CALLS_PER_CERTIFICATE
        slow_and_quick.released.set()
        assert {result.outcome for result in await asyncio.gather(*slow)} == {"signed"}


async def test_who_waits_too_long_for_a_certificates_calls_is_not_sent(connector, at_authority, monkeypatch):
    monkeypatch.setattr(authority, "CALLS_PER_CERTIFICATE", 1)
    certificate_id = uuid4()
    items, (first,) = signing(at_authority, 1, certificate_id=certificate_id)
    await connector.called(1)
    _, held = signing(at_authority, 2, certificate_id=certificate_id)
    signing(at_authority, 1)
    await connector.called(2)
    monkeypatch.setattr(authority, "WAIT_S", -1)
    connector.calls[0].answer(items[0].item_id)
    assert (await first).outcome == "signed"
    assert [type(fault) for fault in await asyncio.gather(*held, return_exceptions=True)] == [CallNotSent] * 2
    assert len(connector.calls) == 2


async def test_who_is_held_is_refused_in_time_though_no_call_of_its_certificate_ends(connector, at_authority, monkeypatch):
    monkeypatch.setattr(authority, "CALLS_PER_CERTIFICATE", 1)
    monkeypatch.setattr(authority, "WAIT_S", 0.1)
    certificate_id = uuid4()
    signing(at_authority, 1, certificate_id=certificate_id)
    await connector.called(1)
    _, held = signing(at_authority, 2, certificate_id=certificate_id)
    async with asyncio.timeout(20):
        assert [type(fault) for fault in await asyncio.gather(*held, return_exceptions=True)] == [CallNotSent] * 2
    assert len(connector.calls) == 1


async def test_a_certificate_whose_answers_have_come_may_go_on_beside_the_slow_ones_of_the_same_calls(connector, at_authority):
    certificate_id = uuid4()
    for number in range(1, CALLS_PER_CERTIFICATE + 3):
        signing(at_authority, 1)
        (item,), (task,) = signing(at_authority, 1, certificate_id=certificate_id)
        await connector.called(number)
        connector.calls[-1].answer(item.item_id)
        assert (await task).outcome == "signed"


async def test_a_call_that_another_request_began_carries_nothing_of_its_trace(at_authority, connector, monkeypatch):
    seen = []

    async def heard(_path, body):
        seen.append(traceparent())
        for each in SignCall.model_validate_json(body).items:
            yield f'{{"item_id":"{each.item_id}","outcome":"signed","signatures":["{each.item_id}"]}}'.encode()

    monkeypatch.setattr(connector, "lines", heard)
    with trace.use_span(NonRecordingSpan(SpanContext(5, 7, is_remote=False, trace_flags=TraceFlags(1)))):
        await at_authority.asked(an_item())
    assert [each[-2:] for each in seen] == ["00"]
