"""Signing for the gateways: a bulk call, each item with its own outcome, each told as soon as it is known (ADR 27)."""

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ca_connector.bulk import NDJSON, CallUnreadable, Reply, read
from ca_connector.signing import Signing
from hosting.problems import COMMON_REFUSALS, BodyTooLarge, problem
from hosting.service_tokens import CallerNotAllowed, CallerUnknown, TokenVerifier
from hosting.whole_answers import EXTENSION, Whole

PATH = "/internal/v1/signatures"
GATEWAY = "signing-gateway"
QUICK_S = 0.02  # most calls are over by then: whether the gateway still waits is watched from then on
HEADERS = [(b"content-type", NDJSON.encode()), (b"cache-control", b"no-store")]
START = {"type": "http.response.start", "status": 200, "headers": HEADERS}


class Signatures:
    """`POST /internal/v1/signatures`, as plain ASGI: what a framework adds to a call costs more than all of this."""

    path = PATH  # what metrics and traces call it by

    def __init__(self, verifier: TokenVerifier, signing: Signing, max_body: int) -> None:
        self._verifier, self._signing, self._max_body = verifier, signing, max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        scope["route"] = self
        try:
            self._check(dict(scope["headers"]).get(b"authorization"))
            call = read(await self._body(receive))
        except (CallerUnknown, CallerNotAllowed) as refusal:
            status, kind = COMMON_REFUSALS[type(refusal)]
            await problem(status, kind, str(refusal), getattr(refusal, "headers", None))(scope, receive, send)
            return
        except BodyTooLarge:
            said = f"The body is larger than {self._max_body} bytes. Send less at a time."
            await problem(413, "body-too-large", said)(scope, receive, send)
            return
        except CallUnreadable as fault:
            await _unreadable(fault)(scope, receive, send)
            return
        reply = Reply(len(call.items))
        self._signing.take(call.items, reply)
        await _stream(reply, scope, receive, send)

    def _check(self, authorization: bytes | None) -> None:
        caller = self._verifier.verify(authorization.decode("latin-1") if authorization else None)
        if caller != GATEWAY:
            raise CallerNotAllowed(f"{caller} may not call this")

    async def _body(self, receive: Receive) -> bytes:
        body, more = bytearray(), True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._max_body:
                raise BodyTooLarge
        return bytes(body)


def _unreadable(fault: CallUnreadable) -> Response:
    if fault.rule == "is not JSON":
        return problem(400, "malformed-json", "The body is not JSON. Send a SignCall with Content-Type: application/json.")
    return problem(422, "invalid-input", str(fault), errors=[{"field": fault.field, "rule": fault.rule}])


async def _stream(reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    """Lines as they come, each flushed; ends early when the gateway goes away. What is known at once is answered at once."""
    whole: Whole | None = scope.get("extensions", {}).get(EXTENSION)
    watching: asyncio.Task[None] | None = None

    def watch() -> None:
        nonlocal watching
        watching = asyncio.create_task(_until_gone(reply, receive))

    later = asyncio.get_running_loop().call_later(QUICK_S, watch)
    try:
        lines = await reply.lines()
        if reply.done and whole and whole(scope, 200, [*HEADERS, (b"content-length", b"%d" % len(lines))], lines):
            return
        await send(START)
        await send({"type": "http.response.body", "body": lines, "more_body": not reply.done})
        while not reply.done:
            lines = await reply.lines()
            await send({"type": "http.response.body", "body": lines, "more_body": not reply.done})
    finally:
        later.cancel()
        if watching is not None:
            watching.cancel()
        if not reply.done:
            reply.abandon()


async def _until_gone(reply: Reply, receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    reply.abandon()
