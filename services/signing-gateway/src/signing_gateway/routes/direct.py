"""The busiest endpoints, called without FastAPI's machinery, which would cost as much as all else done for a signature."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from hosting.whole_answers import EXTENSION

RATE = "rate"
"""The scope's member with the headers that tell a client service of its rate, once it is known."""

ASKS = "asks"
"""The scope's member with the client service's id, once it is known: for the log line of a refusal."""

Handler = Callable[[Request, Exception], Awaitable[Response]]


class DirectRoutes(FastAPI):
    """A FastAPI whose `direct` POST routes get their request at once: they read, judge and answer it themselves.

    They are in the OpenAPI document like all others, and their refusals are answered from the same table.
    """

    direct: Mapping[str, APIRoute] = {}

    def include_direct(self, router: APIRouter, *paths: str) -> None:
        """Includes a router; its routes of these paths, which take a Request alone and answer a Response, are called directly."""
        self.include_router(router)
        found = {route.path: route for route in router.routes if isinstance(route, APIRoute)}
        self.direct = {**self.direct, **{path: found[path] for path in paths}}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        route = self.direct.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if route is None:
            await super().__call__(scope, receive, _with_rate(scope, send))
            return
        scope["route"] = route  # whose path the metrics name
        request = Request(scope, receive)
        fault: Exception | None = None
        try:
            response = await route.endpoint(request)
        except Exception as why:  # noqa: BLE001 - raised again where no table knows it
            handler, known = self._handler(why)
            response = await handler(request, why)
            fault = None if known else why
        response.raw_headers += scope.get(RATE, ())
        whole = scope["extensions"].get(EXTENSION) if "extensions" in scope else None
        if not (whole and whole(scope, response.status_code, response.raw_headers, response.body)):
            await response(scope, receive, send)
        if fault is not None:
            raise fault

    def _handler(self, why: Exception) -> tuple[Handler, bool]:
        """What answers `why`, and whether it stands for more than any fault whatever."""
        handlers: dict[Any, Any] = self.exception_handlers
        kind = next(kind for kind in type(why).__mro__ if kind in handlers)
        return handlers[kind], kind is not Exception


def _with_rate(scope: Scope, send: Send) -> Send:
    def told(message: Message) -> Awaitable[None]:
        if message["type"] == "http.response.start" and RATE in scope:
            message["headers"] = [*message["headers"], *scope[RATE]]
        return send(message)

    return told
