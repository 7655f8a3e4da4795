"""The W3C trace context on the bus: what handles one told trace is its child, a batch of several is linked to each of them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanKind

from contracts.envelope import Headers, header
from observability import context_of

MOST_LINKS = 64
KEPT = frozenset("13579bdf")  # the last digits of flags that say so


def teller_of(headers: Iterable[tuple[str, bytes]]) -> Context:
    """The context that a record's teller was in."""
    return context_of(header(headers, "traceparent"))


def traced_by_teller(headers: Iterable[tuple[str, bytes]]) -> bool:
    """Whether a record was told in a trace that is kept, by its flags alone (W3C Trace Context §3.2.2.5)."""
    return (header(headers, "traceparent") or "")[-1:] in KEPT


@contextmanager
def telling(topic: str) -> Iterator[None]:
    """The span of telling on `topic`."""
    with trace.get_tracer(__name__).start_as_current_span(f"tell {topic}", kind=SpanKind.PRODUCER, record_exception=False):
        yield


@contextmanager
def hearing_one(topic: str, headers: Headers) -> Iterator[None]:
    """The span of handling one record, child of its teller's."""
    with trace.get_tracer(__name__).start_as_current_span(
        f"hear {topic}", teller_of(headers), SpanKind.CONSUMER, record_exception=False
    ):
        yield


@contextmanager
def hearing_many(topic: str, traceparents: Iterable[str]) -> Iterator[None]:
    """The span of handling a batch: the child of its only traced teller, or linked to each of several (at most 64)."""
    links: list[Link] = []
    parent = Context()
    for told in filter(None, traceparents):  # 99 of 100 are empty
        teller = context_of(told)
        context = trace.get_current_span(teller).get_span_context()
        if context.is_valid and context.trace_flags.sampled and len(links) < MOST_LINKS:
            parent = Context() if links else teller
            links.append(Link(context))
    if len(links) == 1:
        links = []
    with trace.get_tracer(__name__).start_as_current_span(
        f"hear {topic}", parent, SpanKind.CONSUMER, links=links, record_exception=False
    ):
        yield
