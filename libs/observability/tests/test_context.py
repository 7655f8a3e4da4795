import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from observability import calling, carried_on, joined, left_out, of_nobody, sampled, traceparent, tracer, untraced


@pytest.fixture
def spans():
    """OpenTelemetry takes one provider in a process's life, so an exporter of our own is added to it."""
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        trace.set_tracer_provider(TracerProvider())
    exporter = InMemorySpanExporter()
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter.get_finished_spans
    exporter.shutdown()


def test_what_was_kept_in_a_row_is_carried_on_later_whatever_runs_then(spans):
    with tracer("a").start_as_current_span("began"):
        kept = traceparent()
    with tracer("a").start_as_current_span("the callback's own"), carried_on("came back", kept):
        pass
    began, came_back, _ = spans()
    assert (came_back.context.trace_id, came_back.parent.span_id) == (began.context.trace_id, began.context.span_id)


def test_where_nothing_was_kept_the_current_trace_goes_on(spans):
    assert traceparent() is None
    with tracer("a").start_as_current_span("current"), carried_on("more", None):
        pass
    more, current = spans()
    assert more.parent.span_id == current.context.span_id


def test_what_is_untraced_leaves_no_span(spans):
    with untraced(), tracer("a").start_as_current_span("every two seconds"):
        assert traceparent().endswith("-00")
    assert spans() == ()


def test_what_is_done_for_several_is_in_the_first_ones_trace_and_linked_to_the_others(spans):
    origins = []
    for name in ("first", "second"):
        with tracer("a").start_as_current_span(name):
            origins.append(sampled())
    with tracer("a").start_as_current_span("whoever does it"), joined("done for both", origins):
        pass
    done = next(span for span in spans() if span.name == "done for both")
    assert (done.context.trace_id, done.parent.span_id) == (origins[0].trace_id, origins[0].span_id)
    assert [link.context for link in done.links] == [origins[1]]


def test_a_task_for_several_is_in_nobodys_trace_but_for_what_is_joined(spans):
    def works(origin):
        assert sampled() is None
        assert traceparent() is None
        with joined("done for one", [origin]):
            assert not left_out()
            assert sampled().trace_id == origin.trace_id
        assert left_out()

    with tracer("a").start_as_current_span("asks"):
        of_nobody().run(works, sampled())
    done, asks = spans()
    assert done.parent.span_id == asks.context.span_id


def test_what_is_done_for_nobody_who_is_traced_makes_no_span(spans):
    with untraced():
        assert sampled() is None
    with joined("done", []):
        assert traceparent() is None
    assert spans() == ()


def test_a_call_is_a_span_of_what_is_traced_and_who_is_called_hears_of_it(spans):
    with tracer("a").start_as_current_span("asks"), calling("POST somebody") as told:
        assert traceparent() != told
    called, asks = spans()
    assert (called.name, called.kind, called.parent.span_id) == ("POST somebody", SpanKind.CLIENT, asks.context.span_id)
    assert told == f"00-{called.context.trace_id:032x}-{called.context.span_id:016x}-{called.context.trace_flags:02x}"


def test_who_is_called_from_what_is_untraced_hears_that_it_is(spans):
    with calling("POST somebody") as nothing, untraced(), calling("POST somebody") as told:
        assert (nothing, told, spans()) == (None, traceparent(), ())
