import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from messaging.tracing import MOST_LINKS, hearing_many, hearing_one, teller_of, telling, traced_by_teller
from observability import traceparent


@pytest.fixture
def spans():
    """OpenTelemetry takes one provider in a process's life, so an exporter of our own is added to it."""
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider())
    exporter = InMemorySpanExporter()
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter.get_finished_spans
    exporter.shutdown()


def a_traceparent(trace_id, flags="01"):
    return f"00-{trace_id:032x}-{7:016x}-{flags}"


def told(trace_id, flags="01"):
    return [("traceparent", a_traceparent(trace_id, flags).encode())]


def test_handling_one_event_is_a_child_of_telling_it(spans):
    with telling("accounts"):
        headers = [("traceparent", traceparent().encode())]
    with hearing_one("accounts", headers):
        pass
    tell, hear = spans()
    assert (hear.context.trace_id, hear.parent.span_id) == (tell.context.trace_id, tell.context.span_id)


def test_handling_a_batch_is_one_span_linked_to_those_that_are_traced(spans):
    with hearing_many("signatures", [a_traceparent(1), a_traceparent(2, flags="00"), "", a_traceparent(3), "nonsense"]):
        pass
    (hear,) = spans()
    assert hear.parent is None
    assert [link.context.trace_id for link in hear.links] == [1, 3]


def test_a_batch_of_one_trace_is_part_of_it(spans):
    with hearing_many("signatures", ["", a_traceparent(5), a_traceparent(6, flags="00")]):
        pass
    (hear,) = spans()
    assert (hear.context.trace_id, list(hear.links)) == (5, [])


def test_a_large_batch_has_a_sample_of_links(spans):
    with hearing_many("signatures", [a_traceparent(number) for number in range(1, 500)]):
        pass
    assert len(spans()[0].links) == MOST_LINKS


@pytest.mark.parametrize("header", [b"", b"\xff", b"00-zz-1-01", b"nonsense"])
def test_a_traceparent_that_is_none_is_ignored(header):
    assert not trace.get_current_span(teller_of([("traceparent", header)])).get_span_context().is_valid


@pytest.mark.parametrize(("flags", "kept"), [("01", True), ("00", False), ("03", True), ("02", False)])
def test_what_a_teller_keeps_is_told_by_its_flags(flags, kept):
    assert traced_by_teller(told(5, flags)) is kept


@pytest.mark.parametrize("headers", [[], [("traceparent", b"")], [("traceparent", b"\xff")]])
def test_a_record_without_a_trace_is_kept_by_nobody(headers):
    assert not traced_by_teller(headers)
