"""What every HTTP port has: traces, metrics per route, and the admin port's `/livez`, `/readyz` and `/metrics`."""

from collections.abc import Awaitable
from functools import cache
from time import perf_counter
from typing import Any

from opentelemetry import propagate
from opentelemetry.context import Context, attach, detach
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import SpanKind, Status, StatusCode
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from observability.health import Health
from observability.traces import LEFT_OUT, NOBODY, Unchosen, begun, taken_up, tracer

REQUESTS = Counter("http_requests_total", "HTTP requests answered", ["method", "route", "status"])
DURATION = Histogram(
    "http_request_duration_seconds",
    "Seconds from a request's first byte to its answer's last",
    ["route"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
IN_FLIGHT = Gauge("http_requests_in_flight", "HTTP requests under way")
_under_way = [0]
IN_FLIGHT.set_function(lambda: _under_way[0])

ANSWERED = "answered"
"""The scope's member with the status of an answer that went out without passing through `send`."""

NOT_TRACED = b"-00"
"""How a `traceparent` ends whose caller traces nothing (W3C Trace Context, trace-flags)."""

UNTRACED = frozenset({"/livez", "/readyz", "/metrics"})
_PLAIN = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'"}
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class traced:  # noqa: N801 - put on an application as a verb: traced(app, service)
    """Traces and counts every request of `app`, by route template: never a path with ids, never a query string.

    `strangers` may call it: they are traced as our own share says, whatever they ask for.
    """

    def __init__(self, app: ASGIApp, service: str, *, strangers: bool = False) -> None:
        self._app, self._service, self._strangers = app, service, strangers
        self._tracer = tracer(__name__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Whether a request is traced is decided before a span is made, which would cost as much as answering it."""
        if scope["type"] != "http" or scope["path"] in UNTRACED:
            await self._app(scope, receive, send)
            return
        scope["fastapi.telemetry"] = None  # FastAPI would add a second span, with the path's ids and the query in it
        method = scope["method"] if scope["method"] in METHODS else "OTHER"
        header = dict(scope["headers"]).get(b"traceparent")
        if header is None:
            told, sampled = begun()
        elif header.endswith(NOT_TRACED):  # its ids are read once somebody asks: reading them costs as much as measuring
            told, sampled = NOBODY, False
        else:
            told, sampled = taken_up(propagate.extract(scope["headers"], getter=_HEADERS), from_strangers=self._strangers)
        if sampled:
            await self._in_a_span(told, scope, receive, send, method)
            return
        was, before = LEFT_OUT.set(Unchosen(header)), attach(told)
        try:
            await self._measured(scope, receive, send, method)
        finally:
            detach(before)
            LEFT_OUT.reset(was)

    async def _in_a_span(self, told: Context, scope: Scope, receive: Receive, send: Send, method: str) -> None:
        was = LEFT_OUT.set(None)  # a request that was sent before the last one's answer begins in its context
        try:
            await self._seen(told, scope, receive, send, method)
        finally:
            LEFT_OUT.reset(was)

    async def _seen(self, told: Context, scope: Scope, receive: Receive, send: Send, method: str) -> None:
        with self._tracer.start_as_current_span(
            method, told, SpanKind.SERVER, record_exception=False, set_status_on_exception=False
        ) as span:
            status = 500
            try:
                status = await self._measured(scope, receive, send, method)
            finally:
                if span.is_recording():
                    route = _route(scope)
                    span.update_name(f"{method} {route}")
                    span.set_attributes({"http.request.method": method, "http.route": route, "http.response.status_code": status})
                    if status >= 500:
                        span.set_status(Status(StatusCode.ERROR))

    async def _measured(self, scope: Scope, receive: Receive, send: Send, method: str) -> int:
        status = 500

        def sent(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            return send(message)

        begun_at = perf_counter()
        _under_way[0] += 1
        try:
            await self._app(scope, receive, sent)
        finally:
            _under_way[0] -= 1
            status = int(scope.get(ANSWERED, status))
            counted, timed = _series(method, _route(scope), status)
            counted.inc()
            timed.observe(perf_counter() - begun_at)
        return status


@cache
def _series(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """The two series of an answer. Few, since methods, route templates and statuses are; looking labels up costs more."""
    return REQUESTS.labels(method, route, str(status)), DURATION.labels(route)


class _Headers(Getter[Any]):
    """ASGI's list of header pairs."""

    def get(self, carrier: Any, key: str) -> list[str] | None:
        wanted = key.lower().encode("latin-1")
        return [value.decode("latin-1") for name, value in carrier if name == wanted] or None

    def keys(self, carrier: Any) -> list[str]:
        return [name.decode("latin-1") for name, _ in carrier]


_HEADERS = _Headers()


def _route(scope: Scope) -> str:
    """The template of the route that answered, as `/certificates/{certificate_id}`; one word for whatever has none."""
    path = getattr(scope.get("route"), "path", None)
    if path is None:
        return "unmatched"
    return str(scope.get("root_path", "")) + str(path)


def admin_app(health: Health) -> Starlette:
    """The admin port: `/livez`, `/readyz` (200 or 503, JSON with each check) and `/metrics`."""

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[*_health_routes(health, reasons=True), Route("/metrics", metrics)])


def public_health(health: Health) -> Starlette:
    """`/livez` and `/readyz` for a port that strangers reach: why a service is not ready is not for them."""
    return Starlette(routes=_health_routes(health, reasons=False))


def _health_routes(health: Health, *, reasons: bool) -> list[Route]:
    async def livez(_request: Request) -> Response:
        return PlainTextResponse("ok", headers=_PLAIN)

    async def readyz(_request: Request) -> Response:
        readiness = await health.readiness()
        body = {"status": readiness.status, **({"checks": readiness.checks} if reasons else {})}
        return JSONResponse(body, 200 if readiness.ready else 503, _PLAIN)

    return [Route("/livez", livez), Route("/readyz", readyz)]
