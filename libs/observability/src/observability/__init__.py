"""Traces, metrics, logs with redaction and health, set up once."""

from importlib.metadata import PackageNotFoundError, version

from prometheus_client import Gauge

from observability.context import calling, carried_on, context_of, joined, of_nobody, sampled, traceparent, untraced
from observability.health import Health, Readiness
from observability.logs import get_logger, set_up_logs
from observability.traces import left_out, set_up_traces, tracer

__all__ = [
    "Health",
    "Readiness",
    "calling",
    "carried_on",
    "context_of",
    "get_logger",
    "joined",
    "left_out",
    "of_nobody",
    "sampled",
    "set_up",
    "traceparent",
    "tracer",
    "untraced",
]

BUILD = Gauge("sinete_build_info", "1; which service of which version this is", ["service", "version"])


def set_up(service: str, otlp_endpoint: str, trace_share: float, log_level: str) -> None:
    """Once per process, first of all: logs at `log_level`, traces of `trace_share` (0 to 1) to `otlp_endpoint` ("" = off)."""
    set_up_logs(service, log_level)
    set_up_traces(service, otlp_endpoint, trace_share)
    try:
        built = version(f"sinete-{service}")
    except PackageNotFoundError:
        built = "unknown"
    BUILD.labels(service, built).set(1)
