"""Calls from one of our services to another: JSON of a contract's model, a service token, the trace, and honest outcomes.

A caller has to know whether a call that failed may have had an effect, so the three failures are three exceptions.
"""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self, TypeVar, overload
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr, ValidationError
from pydantic_core import to_json

from hosting.exchanges import Exchanges, NoAnswer, NotSent
from hosting.service_tokens import TokenIssuer
from observability import calling

TReply = TypeVar("TReply", bound=BaseModel)

NDJSON = "application/x-ndjson"
MOST = 64 * 1024 * 1024
"""Bytes of an answer: the signatures of the largest bulk call are half of it."""
KEPT_S = 20.0
"""For which an idle connection is used again; our servers keep it for thirty."""


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
        parts = urlsplit(base_url.rstrip("/"))
        self._exchanges = Exchanges(f"{parts.scheme}://{parts.netloc}", timeout_s, MOST, KEPT_S)
        self._prefix = parts.path
        self._audience = audience
        self._issuer = issuer

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections that nobody uses."""
        self._exchanges.close()

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
        with calling(f"{method} {self._audience}") as context:
            try:
                answer = await self._exchanges.ask(method, self._prefix + path, self._headers(context), data)
            except (NotSent, NoAnswer) as fault:
                raise self._failure(fault) from None
        return self._read(answer.status, answer.body, reply)

    async def lines(self, path: str, body: bytes) -> AsyncIterator[bytes]:
        """`POST path` with JSON → the whole lines of its answer (application/x-ndjson), as many at once as have come.

        Raises CallRefused, CallNotSent or CallOutcomeUnknown; the last also when an answer breaks off after some lines.
        """
        rest = b""
        with calling(f"POST {self._audience}") as context:
            try:
                asked = self._exchanges.answering("POST", self._prefix + path, self._headers(context, NDJSON), body)
                async with asked as answer:
                    if not 200 <= answer.status < 300:
                        self._read(answer.status, b"".join([part async for part in answer.parts()]), None)
                    async for part in answer.parts():
                        whole, newline, rest = (rest + part).rpartition(b"\n")
                        if newline:
                            yield whole
            except (NotSent, NoAnswer) as fault:
                raise self._failure(fault) from None
        if rest:
            raise CallOutcomeUnknown(f"{self._audience}'s answer broke off")

    def _headers(self, context: str | None, accepted: str = "application/json") -> dict[str, str]:
        token = self._issuer.issue(self._audience)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Accept": accepted}
        return headers | {"traceparent": context} if context else headers

    def _failure(self, fault: NotSent | NoAnswer) -> CallNotSent | CallOutcomeUnknown:
        if isinstance(fault, NotSent):
            return CallNotSent(f"{self._audience} cannot be reached ({fault})")
        return CallOutcomeUnknown(f"{self._audience} gave no answer ({fault})")

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
