"""Signing for the gateways: a bulk call, each item with its own outcome, each told as soon as it is known (ADR 27)."""

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ca_connector.bulk import NDJSON, CallUnreadable, Reply, read
from ca_connector.signing import Signing
from hosting.problems import problem
from hosting.service_tokens import TokenVerifier, caller


def route(verifier: TokenVerifier, signing: Signing) -> Route:
    """`POST /internal/v1/signatures`. A plain route: what FastAPI would add costs more than all else on it."""
    gateway = caller(verifier, "signing-gateway")

    async def sign(request: Request) -> Response:
        await gateway(request)
        try:
            call = read(await request.body())
        except CallUnreadable as fault:
            if fault.rule == "is not JSON":
                return problem(
                    400, "malformed-json", "The body is not JSON. Send a SignCall with Content-Type: application/json."
                )
            return problem(422, "invalid-input", str(fault), errors=[{"field": fault.field, "rule": fault.rule}])
        reply = Reply(len(call.items))
        signing.take(call.items, reply)
        if NDJSON in request.headers.get("accept", ""):
            return StreamingResponse(reply.lines(), media_type=NDJSON, headers={"Cache-Control": "no-store"})
        return Response(await reply.whole([item.item_id for item in call.items]), media_type="application/json")

    return Route("/internal/v1/signatures", sign, methods=["POST"])
