import asyncio
from contextlib import suppress

import pytest
from fastapi import FastAPI
from opentelemetry import baggage, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from observability import Health, traceparent, traces
from observability.http import REQUESTS, admin_app, public_health, traced
from observability.traces import Cleaned

CANARY = "c4n4ryM4rk3r"


@pytest.fixture(scope="module")
def all_spans():
    """OpenTelemetry takes one provider in a process's life: another module's is joined where there is one."""
    exporter = InMemorySpanExporter()
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider())
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    provider.add_span_processor(SimpleSpanProcessor(Cleaned(exporter)))
    return exporter


@pytest.fixture
def spans(all_spans):
    all_spans.clear()
    return all_spans.get_finished_spans


@pytest.fixture
def ask():
    """One request to an ASGI application: status and body."""

    async def request(app, path, method="GET", headers=(), query=b""):
        sent = []

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query,
            "headers": list(headers),
            "scheme": "http",
            "server": ("127.0.0.1", 80),
            "client": ("127.0.0.1", 1),
        }
        await app(scope, receive, send)
        return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])

    return request


@pytest.fixture
def app():
    app = FastAPI()

    @app.get("/certificates/{certificate_id}")
    async def certificate(certificate_id: str):
        return {"certificate_id": certificate_id}

    @app.get("/broken")
    async def broken():
        raise ValueError(f"Bearer {CANARY}")

    return traced(app, "certificate-registry")


async def test_a_request_is_a_span_of_its_route_in_its_callers_trace(app, ask, spans):
    told = (b"traceparent", f"00-{0xABC:032x}-{0xDEF:016x}-01".encode())
    assert (await ask(app, "/certificates/42", headers=[told], query=b"code=secret"))[0] == 200
    (span,) = spans()
    assert span.name == "GET /certificates/{certificate_id}"
    assert span.context.trace_id == 0xABC
    assert span.parent.span_id == 0xDEF
    assert "secret" not in span.to_json()
    assert "42" not in str(span.attributes)


async def test_requests_are_counted_by_route_and_never_by_path(app, ask):
    counted = REQUESTS.labels("GET", "/certificates/{certificate_id}", "200")
    unmatched = REQUESTS.labels("OTHER", "unmatched", "404")
    before = counted._value.get(), unmatched._value.get()
    for number in range(3):
        await ask(app, f"/certificates/{number}")
    await ask(app, "/etc/passwd", method="BREW")
    assert (counted._value.get() - before[0], unmatched._value.get() - before[1]) == (3, 1)


async def test_a_failure_is_counted_and_leaves_no_secret_in_the_trace(app, ask, spans):
    counted = REQUESTS.labels("GET", "/broken", "500")
    before = counted._value.get()
    with pytest.raises(ValueError, match="Bearer"):
        await ask(app, "/broken")
    assert counted._value.get() == before + 1
    (span,) = spans()
    assert not span.status.is_ok
    assert CANARY not in span.to_json()


async def test_what_leaves_as_a_trace_is_cleaned(spans):
    def fail():
        raise ValueError(f"otp={CANARY}")

    with suppress(ValueError), trace.get_tracer("test").start_as_current_span("call") as span:
        span.set_attribute("url.full", f"https://ca.example/oauth2/authorize?state={CANARY}")
        span.set_attribute("http.target", f"/ca/callback?code={CANARY}")
        span.set_attribute("url.query", f"code={CANARY}")
        span.set_attribute("http.response.status_code", 200)
        fail()
    (told,) = spans()
    assert told.events
    assert CANARY not in told.to_json()
    assert told.attributes["http.response.status_code"] == 200


async def test_readiness_tells_each_check(ask):
    health = Health()
    up = True

    async def database():
        if not up:
            raise OSError(f"postgresql://u:{CANARY}@h/db refused")

    async def bus():
        pass

    health.check("database", database)
    health.check("bus", bus)
    inside = admin_app(health)
    assert await ask(inside, "/readyz") == (200, b'{"status":"ready","checks":{"database":"ok","bus":"ok"}}')
    up = False
    status, body = await ask(inside, "/readyz")
    assert (status, b"refused" in body, CANARY.encode() in body) == (503, True, False)
    assert (await ask(inside, "/livez"))[0] == 200
    up = True
    health.draining()
    assert await ask(inside, "/readyz") == (503, b'{"status":"draining","checks":{"database":"ok","bus":"ok"}}')


async def test_why_a_service_is_not_ready_is_told_inside_and_not_to_strangers(ask):
    async def database():
        raise OSError(f"{CANARY}.internal refused")

    health = Health()
    health.check("database", database)
    outside = public_health(health)
    assert await ask(outside, "/readyz") == (503, b'{"status":"not-ready"}')
    assert (await ask(outside, "/livez"))[0] == 200
    assert (await ask(outside, "/metrics"))[0] == 404


async def test_a_check_that_hangs_is_not_ready(ask, monkeypatch):
    monkeypatch.setattr("observability.health.CHECK_S", 0.05)
    health = Health()
    health.check("database", lambda: asyncio.sleep(60))
    status, body = await ask(admin_app(health), "/readyz")
    assert (status, b"no answer" in body) == (503, True)


async def test_metrics_are_shown(ask):
    status, body = await ask(admin_app(Health()), "/metrics")
    assert (status, b"http_requests_total" in body) == (200, True)


async def test_a_request_that_is_not_chosen_makes_no_span_and_tells_those_it_calls_to_make_none(ask, spans, monkeypatch):
    told = []

    async def calls_another(_scope, _receive, send):
        with trace.get_tracer("test").start_as_current_span("within"):
            told.append(traceparent())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    monkeypatch.setattr(traces, "_share", 0.0)
    for _ in range(2):
        assert (await ask(traced(calls_another, "signing-gateway"), "/"))[0] == 200
    assert spans() == ()
    assert all(each.endswith("-00") for each in told)
    assert told[0] != told[1]


async def test_what_a_caller_left_out_is_left_out_and_what_it_traces_is_traced(app, ask, spans, monkeypatch):
    monkeypatch.setattr(traces, "_share", 0.0)
    for flag in ("00", "01"):
        await ask(app, "/certificates/42", headers=[(b"traceparent", f"00-{0xABC:032x}-{0xDEF:016x}-{flag}".encode())])
    (span,) = spans()
    assert span.context.trace_id == 0xABC


WANTED = (b"traceparent", f"00-{0xABC:032x}-{0xDEF:016x}-01".encode())


async def test_what_strangers_want_traced_is_traced_within_the_share_and_keeps_their_id(ask, spans, monkeypatch):
    told = []

    async def calls_another(_scope, _receive, send):
        told.append((traceparent(), baggage.get_all()))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    public = traced(calls_another, "signing-gateway", strangers=True)
    for share, flag in ((0.0, "00"), (1.0, "01")):
        monkeypatch.setattr(traces, "_share", share)
        await ask(public, "/", headers=[WANTED, (b"tracestate", b"a=b"), (b"baggage", b"secret=1")])
        parent, carried = told.pop()
        assert parent.startswith(f"00-{0xABC:032x}-")
        assert parent.endswith(f"-{flag}")
        assert carried == {}
    (span,) = spans()
    assert (span.context.trace_id, span.parent.span_id, len(span.context.trace_state)) == (0xABC, 0xDEF, 0)


async def test_what_strangers_do_not_want_traced_is_not(ask, app, spans):
    unwanted = (WANTED[0], WANTED[1][:-1] + b"0")
    await ask(traced(app._app, "signing-gateway", strangers=True), "/certificates/42", headers=[unwanted])
    assert spans() == ()


@pytest.mark.parametrize("strangers", [False, True])
async def test_what_a_caller_left_out_goes_on_under_the_callers_ids_and_leaves_out_whom_it_calls(ask, strangers):
    told = []

    async def calls_another(_scope, _receive, send):
        told.append(traceparent())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    asked = traced(calls_another, "ca-connector", strangers=strangers)
    unwanted = WANTED[1][:-1] + b"0"
    for header in (unwanted, b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-00", b"\xff-00"):
        await ask(asked, "/", headers=[(b"traceparent", header)])
    assert told[0] == unwanted.decode()
    assert all(each.endswith("-00") and "0" * 32 not in each for each in told)
    assert len(set(told)) == 3


@pytest.mark.parametrize("header", [b"", b"x", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01"])
async def test_a_malformed_traceparent_counts_as_none(ask, app, spans, header):
    await ask(app, "/certificates/42", headers=[(b"traceparent", header)])
    (span,) = spans()
    assert span.parent is None


def test_of_what_strangers_want_traced_a_share_is_drawn_whatever_ids_they_choose(monkeypatch):
    monkeypatch.setattr(traces, "_share", 0.25)
    caller = SpanContext(1, 1, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))  # a low id is in every share
    told = trace.set_span_in_context(NonRecordingSpan(caller))
    assert 700 < sum(traces.taken_up(told, from_strangers=True)[1] for _ in range(4_000)) < 1_300


def test_a_share_of_what_begins_is_chosen_and_what_is_chosen_is_sampled_whatever_the_share(monkeypatch):
    monkeypatch.setattr(traces, "_share", 0.25)
    drawn = [traces.begun() for _ in range(4_000)]
    assert 700 < sum(chosen for _, chosen in drawn) < 1_300
    sampler = traces.Share(0.0)
    for context, chosen in drawn[:200]:
        sampled = sampler.should_sample(context if chosen else None, 2**64 - 1, "request").decision.is_sampled()
        assert sampled == chosen
