"""Calls to a CA: guarded, bounded, and honest about whether they were sent."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import aiohttp
import msgspec
from opentelemetry import propagate, trace
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.trace import SpanKind
from prometheus_client import Counter

from hosting.address import Allowed, PublicOnly, checked
from observability import tracer

MAX_ANSWER = 1024 * 1024
MAX_DEPTH = 20
REQUESTS = Counter("ca_requests_total", "Exchanges with certificate authorities", ["host", "code"])
Json = dict[str, Any]


class CaNotReached(Exception):
    """The CA certainly got nothing: refused, unknown, or not allowed to be called."""


class CaAnswerUnknown(Exception):
    """The call was sent and no usable answer came; it may have had its effect."""


class Answer:
    """A CA's answer: status, JSON (an empty object where there is none), and the seconds of a Retry-After."""

    def __init__(self, status: int, body: Any, retry_after: float | None = None) -> None:
        self.status, self.retry_after = status, retry_after
        self.body: Json = body if isinstance(body, dict) else {}

    @property
    def error(self) -> str:
        """The OAuth2 or CSC error word; an unknown shape has none."""
        word = self.body.get("error")
        return word if isinstance(word, str) and len(word) <= 100 else ""

    @property
    def description(self) -> str:
        """The CA's own sentence, bounded."""
        text = self.body.get("error_description")
        return text[:300] if isinstance(text, str) else ""


class Outbound:
    """One HTTP client for all CAs. No redirect is followed, no cookie kept, no proxy taken from the environment."""

    def __init__(self, allowed: Allowed, timeout_s: float) -> None:
        self.allowed = allowed
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=5)
        self._session: aiohttp.ClientSession | None = None
        self._checked = cache(lambda url: checked(url, allowed))  # pure, and of the few URLs of the CAs' profiles and metadata

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    async def get(self, url: str) -> Answer:
        """A GET of JSON."""
        return await self._exchange("GET", url, {})

    async def form(self, url: str, fields: dict[str, str], authorization: str) -> Answer:
        """A form post (OAuth2)."""
        return await self._exchange("POST", url, {"Authorization": authorization}, fields)

    async def json(self, url: str, body: Json, token: str) -> Answer:
        """A JSON post with a bearer token (CSC)."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return await self._exchange("POST", url, headers, msgspec.json.encode(body))

    def _connected(self) -> aiohttp.ClientSession:
        if self._session is None:
            # No limit of connections: whoever waited for one would have been sent for all one knows. `signing` bounds its calls.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=PublicOnly(self.allowed), limit=0, use_dns_cache=False),
                timeout=self._timeout,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
            )
            AioHttpClientInstrumentor.uninstrument_session(self._session)  # it costs as much as the call, sampled or not
        return self._session

    async def _exchange(
        self, method: str, url: str, headers: dict[str, str], data: bytes | dict[str, str] | None = None
    ) -> Answer:
        self._checked(url)
        headers["Accept"] = "application/json"
        host = url.split("/", 3)[2]
        try:
            with _traced(method, host, headers):
                async with self._connected().request(method, url, headers=headers, data=data, allow_redirects=False) as answer:
                    content = await answer.content.read(MAX_ANSWER + 1)
                    while len(content) <= MAX_ANSWER and (more := await answer.content.read(MAX_ANSWER + 1 - len(content))):
                        content += more
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as fault:
            _counted(host, "not-reached").inc()
            raise CaNotReached(f"the CA cannot be reached ({type(fault).__name__})") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            _counted(host, "no-answer").inc()
            raise CaAnswerUnknown(f"the CA gave no answer ({type(fault).__name__})") from None
        _counted(host, str(answer.status)).inc()
        told = answer.headers.get("Retry-After", "") if answer.status == 429 else ""
        return Answer(
            answer.status, _parsed(content, answer.status), float(told) if told.isdecimal() and told.isascii() else None
        )


_counted = cache(REQUESTS.labels)


@contextmanager
def _traced(method: str, host: str, headers: dict[str, str]) -> Iterator[None]:
    """A span, and its header for the CA, where the trace is sampled; nothing where it is not."""
    if not trace.get_current_span().is_recording():
        yield
        return
    with tracer(__name__).start_as_current_span(f"{method} {host}", kind=SpanKind.CLIENT, record_exception=False):
        propagate.inject(headers)
        yield


def _parsed(content: bytes, status: int) -> Any:
    if len(content) > MAX_ANSWER:
        raise CaAnswerUnknown("the CA's answer is larger than 1 MiB")
    if not content.strip():
        return {}
    try:
        body = msgspec.json.decode(content)
    except (ValueError, RecursionError):
        if status >= 300:
            return {}
        raise CaAnswerUnknown("the CA's answer is no JSON") from None
    if content.count(b"[") + content.count(b"{") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
        raise CaAnswerUnknown("the CA's answer is nested too deep")
    return body


def _depth(value: Any) -> int:
    level, deepest = [value], 0
    while level:
        deepest += 1
        if deepest > MAX_DEPTH:
            break
        level = [child for item in level for child in _children(item)]
    return deepest


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
