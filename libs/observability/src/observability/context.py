"""Carries a trace over what no header crosses: a row in a table, an operator's browser, a queue in memory."""

import contextvars
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind

from observability.traces import LEFT_OUT, Unchosen, left_out, tracer

_UNSAMPLED = NonRecordingSpan(SpanContext(trace_id=1, span_id=1, is_remote=True))


def traceparent() -> str | None:
    """The current span as the W3C header, to be kept in a row; None where nothing is traced."""
    return _header(trace.get_current_span().get_span_context())


def _header(context: SpanContext) -> str | None:
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


@contextmanager
def calling(name: str) -> Iterator[str | None]:
    """The span of a call to another service, where its request is traced; gives what the header `traceparent` has to say there.

    It is nobody's current span, so that it may be held open while whoever asked reads the answer.
    """
    if not trace.get_current_span().is_recording():
        yield traceparent()
        return
    span = tracer(__name__).start_span(name, kind=SpanKind.CLIENT)
    try:
        yield _header(span.get_span_context())
    finally:
        span.end()


def context_of(kept: str | None) -> Context:
    """The context that was kept; an empty one where there is none or it cannot be read."""
    return propagate.extract({"traceparent": kept} if kept else {}, Context())


@contextmanager
def carried_on(name: str, kept: str | None) -> Iterator[None]:
    """A span of the trace that was kept; where none was, of the current one."""
    with tracer(__name__).start_as_current_span(name, context_of(kept) if kept else None, record_exception=False):
        yield


def sampled() -> SpanContext | None:
    """The current span, to be given to `joined` later; None where the trace is not sampled."""
    if left_out():
        return None
    span = trace.get_current_span()
    return span.get_span_context() if span.is_recording() else None


@contextmanager
def joined(name: str, origins: Sequence[SpanContext]) -> Iterator[None]:
    """A span for what is done for several at once: in the first one's trace, linked to the others; none where there is none."""
    if not origins:
        yield
        return
    first, *others = origins
    parent = trace.set_span_in_context(NonRecordingSpan(first), Context())
    was = LEFT_OUT.set(None)
    try:
        with tracer(__name__).start_as_current_span(
            name, parent, links=[trace.Link(each) for each in others], record_exception=False
        ):
            yield
    finally:
        LEFT_OUT.reset(was)


_OF_NOBODY = contextvars.Context()
_OF_NOBODY.run(LEFT_OUT.set, Unchosen())


of_nobody = _OF_NOBODY.copy
"""Makes the context for a task that serves several callers: it is in the trace of none of them, but for what is `joined`."""


@contextmanager
def untraced() -> Iterator[None]:
    """For what asks every few seconds and mostly hears nothing new: the page with the traces would drown in it."""
    with trace.use_span(_UNSAMPLED):
        yield
