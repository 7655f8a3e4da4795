"""The supervisor's control API on 127.0.0.1, for whoever can read the token in STATE/supervisor.json."""

import asyncio
import hmac
import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from embedded.durations import duration
from embedded.refusals import Refusal
from embedded.state import write_json
from embedded.supervisor import Stack

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(stack: Stack, stop: asyncio.Event) -> AsyncIterator[None]:
    """Serves the control API and says in the state folder where."""
    token, port = secrets.token_urlsafe(32), stack.at.ports.of("supervisor")
    runner = web.AppRunner(application(stack, stop, token), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    write_json(stack.state.supervisor_file, {"pid": os.getpid(), "url": f"http://127.0.0.1:{port}", "token": token})
    try:
        yield
    finally:
        stack.state.supervisor_file.unlink(missing_ok=True)
        await runner.cleanup()


def application(stack: Stack, stop: asyncio.Event, token: str) -> web.Application:
    """The routes, behind the token."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            return web.json_response({"refused": "Not without the token in supervisor.json"}, status=401)
        try:
            return await handler(request)
        except (Refusal, ValueError) as refusal:
            return web.json_response({"refused": str(refusal)}, status=409)

    async def status(_: web.Request) -> web.Response:
        return web.json_response(stack.status())

    async def clock(_: web.Request) -> web.Response:
        return web.json_response(stack.clock_status())

    async def move_clock(request: web.Request) -> web.Response:
        wanted = await request.json()
        by, to = wanted.get("advance"), wanted.get("set")
        moved = await stack.move_clock(by=duration(by)) if by else await stack.move_clock(to=str(to))
        return web.json_response(moved)

    async def down(_: web.Request) -> web.Response:
        stop.set()
        return web.json_response({})

    made = web.Application(middlewares=[guarded])
    made.add_routes([web.get("/status", status), web.get("/clock", clock)])
    made.add_routes([web.post("/clock", move_clock), web.post("/down", down)])
    return made
