"""Traces by OTLP over HTTP, sampled at the first service, cleaned before they leave, dropped silently when nobody collects."""

import atexit
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import Status, Tracer
from opentelemetry.util.types import Attributes

from observability.redaction import HIDDEN, looks_secret, masked

EXPORT_EVERY_MS = 1_000
EXPORT_TIMEOUT_S = 2


def tracer(name: str) -> Tracer:
    """What spans of module `name` are started with. Their attributes are plain facts, never secrets."""
    return trace.get_tracer(name)


def set_up_traces(service: str, otlp_endpoint: str, trace_share: float) -> None:
    """Traces of `trace_share` (0 to 1) of what begins here go to `{otlp_endpoint}/v1/traces`; with no endpoint none leaves.

    What another service began is traced as that one decided.
    """
    share = trace_share if otlp_endpoint else 0.0
    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAME: service}),
        sampler=ParentBased(TraceIdRatioBased(share) if share > 0 else ALWAYS_OFF),
        shutdown_on_exit=False,
    )
    if otlp_endpoint:
        exporter = OTLPSpanExporter(endpoint=f"{otlp_endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_TIMEOUT_S)
        provider.add_span_processor(BatchSpanProcessor(Cleaned(exporter), schedule_delay_millis=EXPORT_EVERY_MS))
        atexit.register(provider.shutdown)
    trace.set_tracer_provider(provider)
    AioHttpClientInstrumentor().instrument(url_filter=_without_query)


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


def _without_query(url: Any) -> str:
    """`url` is a yarl.URL."""
    return str(url.with_query(None).with_user(None).with_fragment(None))
