"""JSON logs on standard output: one line an entry, with the trace it belongs to, without secrets.

The standard library's loggers (uvicorn, aiokafka, sqlalchemy …) come out of the same pipe. The time of an entry is the
host's own, since logs are for whoever watches the machines.
"""

import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from opentelemetry import trace

from observability.redaction import clean_field

Entry = MutableMapping[str, Any]

CHATTY = (
    "aiohttp",
    "aiokafka",
    "aiosmtplib",
    "alembic",
    "asyncio",
    "asyncpg",
    "mail.log",
    "sqlalchemy",
    "urllib3",
    "uvicorn",
    "watchfiles",
)
"""Loggers of libraries: from warnings on, even at DEBUG, because their debug lines print whole records and parameters."""

TALKATIVE = ("faststream",)
"""From errors on: it warns at every start of what is meant so."""

SILENT = ("opentelemetry.exporter", "opentelemetry.sdk.trace.export", "opentelemetry.sdk._shared_internal")
"""A trace collector that is away is no event: traces are best effort."""

OURS = frozenset({"event", "level", "logger", "at", "trace_id", "span_id", "service"})


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger: `log.info("allowance handed out", certificate_id=..., n=...)`. Values are plain facts, never secrets."""
    return structlog.stdlib.get_logger(name)


def set_up_logs(service: str, level: str) -> None:
    """Routes every logger of the process to standard output as JSON."""
    before = (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        _traced,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,
                _of(service),
                _redacted,
                _as_json,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    _calm_libraries(logging.getLevelNamesMapping()[level])
    logging.captureWarnings(capture=True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def _calm_libraries(level: int) -> None:
    least = {**dict.fromkeys(CHATTY, logging.WARNING), **dict.fromkeys(TALKATIVE, logging.ERROR)}
    for name, from_level in least.items():
        library = logging.getLogger(name)
        library.handlers[:] = []
        library.propagate = True
        library.setLevel(max(from_level, level))
    for name in SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    logging.getLogger("uvicorn.access").setLevel(logging.CRITICAL + 1)


def _traced(_logger: Any, _method: str, entry: Entry) -> Entry:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        entry["trace_id"] = trace.format_trace_id(context.trace_id)
        entry["span_id"] = trace.format_span_id(context.span_id)
    return entry


def _of(service: str) -> structlog.types.Processor:
    def add(_logger: Any, _method: str, entry: Entry) -> Entry:
        entry.setdefault("service", service)
        return entry

    return add


def _redacted(_logger: Any, _method: str, entry: Entry) -> Entry:
    return {name: clean_field("text" if name in OURS else name, value) for name, value in entry.items()}


def _as_json(_logger: Any, _method: str, entry: Entry) -> str:
    r"""ASCII only: line breaks, escape sequences and other controls arrive as `\u…` (no forged lines, no terminal tricks)."""
    first = {name: entry[name] for name in ("at", "level", "service", "logger", "event") if name in entry}
    return json.dumps({**first, **entry}, ensure_ascii=True, default=str)
