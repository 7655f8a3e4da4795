"""Traces by OTLP over HTTP, sampled at the first service, cleaned before they leave, dropped silently when nobody collects."""

import atexit
import random
from collections.abc import Mapping, Sequence
from contextvars import ContextVar

from opentelemetry import propagate, trace
from opentelemetry.context import Context, create_key, get_value
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, SamplingResult, TraceIdRatioBased
from opentelemetry.trace import (
    INVALID_SPAN_CONTEXT,
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    TraceFlags,
    Tracer,
    TraceState,
    set_span_in_context,
)
from opentelemetry.util.types import Attributes

from observability.redaction import HIDDEN, looks_secret, masked

EXPORT_EVERY_MS = 250  # little at a time, since nothing else in the process goes on meanwhile
EXPORT_TIMEOUT_S = 2

_CHOSEN = create_key("chosen")
_share = 1.0  # of what begins here; what no `set_up_traces` has lowered is traced whole


class Unchosen:
    """What was not chosen to be traced. Its ids, for the log and for whoever is called, are looked for once somebody asks.

    `told` is the `traceparent` that a caller sent.
    """

    __slots__ = ("_ids", "_told")

    def __init__(self, told: bytes | None = None) -> None:
        self._told = told
        self._ids: SpanContext | None = None

    def ids(self) -> SpanContext:
        """The caller's; where it told none that can be read, of no span anywhere. The same for as long as this lasts."""
        if self._ids is None:
            header = {"traceparent": self._told.decode("latin-1")} if self._told else {}
            caller = trace.get_current_span(propagate.extract(header, Context())).get_span_context()
            trace_id = caller.trace_id or random.getrandbits(128) or 1
            self._ids = SpanContext(trace_id, caller.span_id or random.getrandbits(64) or 1, is_remote=caller.is_valid)
        return self._ids


LEFT_OUT: ContextVar[Unchosen | None] = ContextVar("left_out", default=None)
"""Set with the context of what was not chosen; asked so often that OpenTelemetry's own way to ask is too dear."""


class _Nobody(NonRecordingSpan):
    """The current span of whatever was not chosen."""

    def get_span_context(self) -> SpanContext:
        """OpenTelemetry's."""
        unchosen = LEFT_OUT.get()
        return unchosen.ids() if unchosen else INVALID_SPAN_CONTEXT


NOBODY = set_span_in_context(_Nobody(INVALID_SPAN_CONTEXT), Context())
"""The context of whatever was not chosen. Its ids are those of the `LEFT_OUT` that is set with it."""


class Share(Sampler):
    """Samples a share of what begins here, and whatever `begun` has chosen already."""

    def __init__(self, share: float) -> None:
        self._rest = TraceIdRatioBased(share)

    def should_sample(  # noqa: PLR0917 - OpenTelemetry's signature
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """OpenTelemetry's."""
        chosen = parent_context is not None and get_value(_CHOSEN, parent_context)
        sampler = ALWAYS_ON if chosen else self._rest
        return sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """OpenTelemetry's."""
        return "a share of what begins here"


def begun() -> tuple[Context, bool]:
    """Whether what begins now is traced, decided before any span is made: a span that is not sampled costs as much as a request.

    Answers the context to begin in. With `LEFT_OUT` set an untraced one has ids all the same, for the log, and whoever is called
    from it traces nothing of it either.
    """
    if random.random() < _share:  # noqa: S311 - it chooses what is traced, and hides nothing
        return Context({_CHOSEN: True}), True
    return NOBODY, False


def taken_up(told: Context, *, from_strangers: bool) -> tuple[Context, bool]:
    """What a caller began goes on here, traced if the caller says so. Answers as `begun`, which a malformed header comes to.

    Of what strangers say the ids alone are kept. Tracing costs us, so our own share of what they want traced is; it is drawn
    and not derived from the trace's id, which they choose as well.
    """
    caller = trace.get_current_span(told).get_span_context()
    if not caller.is_valid:
        return begun()
    if not caller.trace_flags.sampled or (from_strangers and random.random() >= _share):  # noqa: S311 - as above
        return NOBODY, False
    if not from_strangers:
        return told, True
    kept = SpanContext(caller.trace_id, caller.span_id, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return set_span_in_context(NonRecordingSpan(kept), Context()), True


def left_out() -> bool:
    """Whether what is under way was not chosen to be traced: a span of it would cost and tell nothing."""
    return LEFT_OUT.get() is not None


def tracer(name: str) -> Tracer:
    """What spans of module `name` are started with. Their attributes are plain facts, never secrets."""
    return trace.get_tracer(name)


def set_up_traces(service: str, otlp_endpoint: str, trace_share: float) -> None:
    """Traces of `trace_share` (0 to 1) of what begins here go to `{otlp_endpoint}/v1/traces`; with no endpoint none leaves.

    What another service began is traced as that one decided.
    """
    global _share  # noqa: PLW0603 - OpenTelemetry's provider is one for the process, and so is what it samples
    _share = trace_share if otlp_endpoint else 0.0
    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAME: service}),
        sampler=ParentBased(Share(_share)),
        shutdown_on_exit=False,
    )
    if otlp_endpoint:
        exporter = OTLPSpanExporter(endpoint=f"{otlp_endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_TIMEOUT_S)
        provider.add_span_processor(BatchSpanProcessor(Cleaned(exporter), schedule_delay_millis=EXPORT_EVERY_MS))
        atexit.register(provider.shutdown)
    trace.set_tracer_provider(provider)


class Cleaned(SpanExporter):
    """Hands spans on without query strings and without what looks like a secret, in attributes, events and status alike."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Exports the cleaned copies."""
        return self._exporter.export([_cleaned(span) for span in spans])

    def shutdown(self) -> None:
        """Passes it on."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Passes it on."""
        return self._exporter.force_flush(timeout_millis)


def _cleaned(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=masked(span.name),
        context=span.get_span_context(),
        parent=span.parent,
        resource=span.resource,
        attributes=_clean_attributes(span.attributes),
        events=[Event(masked(event.name), _clean_attributes(event.attributes), event.timestamp) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code, masked(span.status.description)) if span.status.description else span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _clean_attributes(attributes: Attributes) -> Attributes:
    told: Mapping[str, object] = attributes or {}
    kept = {}
    for name, value in told.items():
        if looks_secret(name):
            kept[name] = HIDDEN
        elif isinstance(value, str):
            kept[name] = masked(value)
        else:
            kept[name] = value  # type: ignore[assignment] # numbers, or tuples of them
    return kept
