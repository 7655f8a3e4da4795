"""Calls from one of our services to another: JSON of a contract's model, a service token, the trace, and honest outcomes.

A caller has to know whether a call that failed may have had an effect, so the three failures are three exceptions.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self, TypeVar, overload

import aiohttp
from opentelemetry import propagate
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import to_json

from hosting.service_tokens import TokenIssuer

TReply = TypeVar("TReply", bound=BaseModel)
Answer = aiohttp.ClientResponse

NDJSON = "application/x-ndjson"
SENDING = (aiohttp.ClientError, TimeoutError, OSError)
"""What sending a request and reading its answer fail with."""


class CallRefused(Exception):
    """The other service answered with a refusal (4xx): nothing was done."""

    def __init__(self, status: int, kind: str, detail: str, members: dict[str, object] | None = None) -> None:
        super().__init__(detail)
        self.status, self.kind, self.detail, self.members = status, kind, detail, members or {}


class CallNotSent(Exception):
    """The other service certainly never got the call."""


class CallOutcomeUnknown(Exception):
    """The call was sent and no usable answer came: it may have had its effect."""


class InternalCalls:
    """Calls to one of our services at `base_url`."""

    def __init__(self, base_url: str, *, audience: str, issuer: TokenIssuer, timeout_s: float = 30) -> None:
        self._base = base_url.rstrip("/")
        self._audience = audience
        self._issuer = issuer
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=5)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections; bounded."""
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, reply: type[TReply]) -> TReply:
        """`GET path` → `reply`."""
        return await self.request("GET", path, None, reply)

    @overload
    async def post(self, path: str, body: BaseModel | None, reply: type[TReply]) -> TReply: ...
    @overload
    async def post(self, path: str, body: BaseModel | None, reply: None) -> None: ...
    async def post(self, path: str, body: BaseModel | None, reply: type[TReply] | None) -> TReply | None:
        """`POST path` → `reply`, or nothing of interest."""
        return await self.request("POST", path, body, reply)

    async def patch(self, path: str, body: BaseModel, reply: type[TReply]) -> TReply:
        """`PATCH path` → `reply`."""
        return await self.request("PATCH", path, body, reply)

    @overload
    async def request(self, method: str, path: str, body: BaseModel | None, reply: type[TReply]) -> TReply: ...
    @overload
    async def request(self, method: str, path: str, body: BaseModel | None, reply: None) -> None: ...
    @overload
    async def request(self, method: str, path: str, body: BaseModel | None, reply: type[TReply] | None) -> TReply | None: ...
    async def request(self, method: str, path: str, body: BaseModel | None, reply: type[TReply] | None) -> TReply | None:
        """One call. Raises CallRefused, CallNotSent or CallOutcomeUnknown; never retries."""
        data = None if body is None else _revealed(body)
        try:
            async with self._sent(method, path, data) as answer:
                status, content = answer.status, await answer.content.read(-1)
        except SENDING as fault:
            raise self._failure(fault) from None
        return self._read(status, content, reply)

    async def lines(self, path: str, body: bytes) -> AsyncIterator[bytes]:
        """`POST path` with JSON → the whole lines of its answer (application/x-ndjson), as many at once as have come.

        Raises CallRefused, CallNotSent or CallOutcomeUnknown; the last also when an answer breaks off after some lines.
        """
        try:
            async with self._sent("POST", path, body, accept=NDJSON) as answer:
                if not 200 <= answer.status < 300:
                    self._read(answer.status, await answer.content.read(-1), None)
                rest = b""
                async for chunk in answer.content.iter_any():
                    whole, newline, rest = (rest + chunk).rpartition(b"\n")
                    if newline:
                        yield whole
        except SENDING as fault:
            raise self._failure(fault) from None
        if rest:
            raise CallOutcomeUnknown(f"{self._audience}'s answer broke off")

    def _sent(self, method: str, path: str, data: bytes | None, *, accept: str = "") -> AbstractAsyncContextManager[Answer]:
        """The request with our token and the trace, on its way."""
        if self._session is None:
            # Whoever calls bounds what is under way: a limit here would let slow answers keep other calls from being sent.
            connections = aiohttp.TCPConnector(limit=0, keepalive_timeout=30)
            self._session = aiohttp.ClientSession(connector=connections, timeout=self._timeout, trust_env=False)
        headers = {"Authorization": f"Bearer {self._issuer.issue(self._audience)}"}
        propagate.inject(headers)
        if data is not None:
            headers["Content-Type"] = "application/json"
        if accept:
            headers["Accept"] = accept
        return self._session.request(method, self._base + path, data=data, headers=headers, allow_redirects=False)

    def _failure(self, fault: BaseException) -> CallNotSent | CallOutcomeUnknown:
        if isinstance(fault, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            return CallNotSent(f"{self._audience} cannot be reached ({type(fault).__name__})")
        return CallOutcomeUnknown(f"{self._audience} gave no answer ({type(fault).__name__})")

    def _read(self, status: int, content: bytes, reply: type[TReply] | None) -> TReply | None:
        if 400 <= status < 500:
            raise _refusal(status, content)
        if not 200 <= status < 300:
            raise CallOutcomeUnknown(f"{self._audience} answered {status}")
        if reply is None:
            return None
        try:
            return reply.model_validate_json(content)
        except ValidationError:
            raise CallOutcomeUnknown(f"{self._audience} answered what is no {reply.__name__}") from None


class _ProblemBody(BaseModel, extra="allow"):
    type: str = "refused"
    detail: str = ""


def _refusal(status: int, content: bytes) -> CallRefused:
    try:
        problem = _ProblemBody.model_validate_json(content)
    except ValidationError:
        return CallRefused(status, "refused", f"refused with status {status}")
    return CallRefused(status, problem.type.rsplit("/", 1)[-1], problem.detail, dict(problem.model_extra or {}))


def _revealed(body: BaseModel) -> bytes:
    """The body with its secrets, for the wire alone."""
    return to_json(_plain(body.model_dump(mode="python")))


def _plain(value: object) -> object:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
