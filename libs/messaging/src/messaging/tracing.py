"""The W3C trace context on the bus: one event is the child of whoever told it, a batch is linked to each of its events."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind

from contracts.envelope import Headers, header

MOST_LINKS = 64


def traceparent() -> str | None:
    """The current span as a header, or None where nothing is traced."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent")


def context_of(headers: Iterable[tuple[str, bytes]]) -> Context:
    """The context that a record's teller was in."""
    told = header(headers, "traceparent")
    carrier: Mapping[str, str] = {"traceparent": told} if told else {}
    return propagate.extract(carrier)


@contextmanager
def telling(topic: str) -> Iterator[None]:
    """The span of telling on `topic`."""
    with trace.get_tracer(__name__).start_as_current_span(f"tell {topic}", kind=SpanKind.PRODUCER, record_exception=False):
        yield


@contextmanager
def hearing_one(topic: str, headers: Headers) -> Iterator[None]:
    """The span of handling one record, child of its teller's."""
    with trace.get_tracer(__name__).start_as_current_span(
        f"hear {topic}", context_of(headers), SpanKind.CONSUMER, record_exception=False
    ):
        yield


@contextmanager
def hearing_many(topic: str, all_headers: Iterable[Headers]) -> Iterator[None]:
    """The span of handling a batch, linked to the tellers of its events (those traced, at most 64)."""
    links: list[Link] = []
    for headers in all_headers:
        context = trace.get_current_span(context_of(headers)).get_span_context()
        if context.is_valid and context.trace_flags.sampled and len(links) < MOST_LINKS:
            links.append(Link(context))
    with trace.get_tracer(__name__).start_as_current_span(
        f"hear {topic}", Context(), SpanKind.CONSUMER, links=links, record_exception=False
    ):
        yield
