"""A gateway as a server of its own: it keeps idempotency keys, counts what it signs, and fails as it is told."""

import asyncio
import base64
import json
from collections import Counter
from contextlib import nullcontext
from urllib.parse import parse_qsl

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

CREDENTIAL = "0193a1b0-0000-7000-8000-00000000000c"
DESCRIBED = {
    "description": "Invoices",
    "key": {"status": "enabled", "algo": ["1.2.840.113549.1.1.11"], "len": 2048},
    "cert": {"status": "valid", "certificates": ["MIIB"], "subjectDN": "CN=Exemplo", "validTo": "20291120083000Z"},
    "multisign": 3,
}


class FakeGateway:
    """`mishaps` are taken in turn by signing calls: a status with a body, "cut" (signs, then no answer) or "slow"."""

    def __init__(self):
        self.url = ""
        self.credential = CREDENTIAL
        self.mishaps: list[tuple[int, dict, dict] | str] = []
        self.refused_documents: dict[bytes, dict] = {}
        self.kept: dict[str, dict] = {}
        self.signed = Counter()
        self.keys: list[str | None] = []
        self.tokens = 0
        self.token_fits = True
        self.authenticated: list[dict] = []

    def app(self):
        return Starlette(
            routes=[
                Route("/oauth2/token", self.token, methods=["POST"]),
                Route("/csc/v2/credentials/list", self.list, methods=["POST"]),
                Route("/csc/v2/credentials/info", self.info, methods=["POST"]),
                Route("/csc/v2/signatures/{what}", self.sign, methods=["POST"]),
            ]
        )

    async def token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        self.authenticated.append(form)
        self.tokens += 1
        if form.get("client_secret") == "wrong":
            return JSONResponse({"error": "invalid_client", "error_description": "Client authentication failed."}, 401)
        return JSONResponse({"access_token": f"t{self.tokens}", "expires_in": 3600})

    async def list(self, request: Request) -> Response:
        return JSONResponse({"credentialIDs": [CREDENTIAL], "credentialInfos": [{"credentialID": CREDENTIAL, **DESCRIBED}]})

    async def info(self, request: Request) -> Response:
        return JSONResponse(DESCRIBED)

    async def sign(self, request: Request) -> Response:
        if not self.token_fits and request.headers["authorization"] == "Bearer t1":
            return JSONResponse({"error": "invalid_token", "error_description": "over"}, 401)
        body = json.loads(await request.body())
        key = request.headers.get("idempotency-key")
        self.keys.append(key)
        mishap = self.mishaps.pop(0) if self.mishaps else None
        if isinstance(mishap, tuple):
            status, answer, headers = mishap
            return JSONResponse(answer, status, headers)
        if key in self.kept:
            return JSONResponse(self.kept[key])
        for document in body.get("documents", []):
            if refusal := self.refused_documents.get(base64.b64decode(document["document"])):
                return JSONResponse(refusal, 400)
        answer = self.answer(body)
        if key:
            self.kept[key] = answer
        if mishap == "slow":
            await asyncio.sleep(30)
        if mishap == "cut":
            request.scope["fake.cut"]()
            return Response()
        return JSONResponse(answer)

    def answer(self, body: dict) -> dict:
        for document in body.get("documents", []):
            self.signed[document["document"]] += 1
        hashes = body.get("hashes") or [h for each in body.get("documentDigests", []) for h in each["hashes"]]
        self.signed.update(hashes)
        made = [base64.b64encode(b"signed " + base64.b64decode(h)).decode() for h in hashes]
        if "documentDigests" in body:
            return {"SignatureObject": made}
        if "documents" in body:
            pdfs = [base64.b64decode(each["document"]) + b"signed" for each in body["documents"]]
            return {"DocumentWithSignature": [base64.b64encode(pdf).decode() for pdf in pdfs]}
        return {"signatures": made} if hashes else {"timestamp": base64.b64encode(b"token").decode()}


@pytest.fixture
async def gateway(unused_tcp_port):
    fake = FakeGateway()
    app = fake.app()

    async def cutting(scope, receive, send):
        async def cut_send(message):
            if scope.get("fake.is_cut"):
                send.__self__.transport.abort()
            else:
                await send(message)

        scope["fake.cut"] = lambda: scope.__setitem__("fake.is_cut", True)
        await app(scope, receive, cut_send)

    config = uvicorn.Config(cutting, port=unused_tcp_port, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    fake.url = f"http://127.0.0.1:{unused_tcp_port}"
    yield fake
    server.should_exit = server.force_exit = True
    await asyncio.wait_for(task, 10)
