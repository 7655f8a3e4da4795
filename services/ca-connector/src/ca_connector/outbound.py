"""Calls to a CA: guarded, bounded, and honest about whether they were sent."""

import math
from collections.abc import Awaitable
from functools import cache
from typing import Any
from urllib.parse import urlencode

import msgspec
from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind
from prometheus_client import Counter

from hosting.address import Allowed, PublicOnly, checked
from hosting.exchanges import Exchanges, NoAnswer, NotSent, TooLate, parted
from observability import left_out, tracer

MAX_ANSWER = 1024 * 1024
MAX_DEPTH = 20
REQUESTS = Counter("ca_requests_total", "Exchanges with certificate authorities", ["host", "code"])
Json = dict[str, Any]
spans = tracer(__name__)
_written = msgspec.json.Encoder().encode


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
    """The way to all CAs: to public addresses alone, and with nothing of what is answered followed or kept."""

    def __init__(self, allowed: Allowed, timeout_s: float) -> None:
        self.allowed = allowed
        self._timeout_s, self._addresses = timeout_s, PublicOnly(allowed)
        self._exchanges: dict[str, Exchanges] = {}
        self._target = cache(self._target_of)  # pure, and of the few URLs of the CAs' profiles and metadata

    async def close(self) -> None:
        """Closes the connections."""
        for exchanges in self._exchanges.values():
            exchanges.close()

    async def get(self, url: str) -> Answer:
        """A GET of JSON."""
        return await self._exchange("GET", url, {})

    async def form(self, url: str, fields: dict[str, str], authorization: str) -> Answer:
        """A form post (OAuth2)."""
        headers = {"Authorization": authorization, "Content-Type": "application/x-www-form-urlencoded"}
        return await self._exchange("POST", url, headers, urlencode(fields).encode())

    def json(self, url: str, body: Json, token: str, until: float) -> Awaitable[Answer]:
        """A JSON post with a bearer token (CSC), begun before the boot time `until`. Raises TooLate."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return self._exchange("POST", url, headers, _written(body), until)

    async def _exchange(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None = None, until: float = math.inf
    ) -> Answer:
        host, path, exchanges = self._target(url)
        headers["Accept"] = "application/json"
        try:
            if not left_out() and trace.get_current_span().is_recording():
                with spans.start_as_current_span(f"{method} {host}", kind=SpanKind.CLIENT, record_exception=False):
                    propagate.inject(headers)
                    answer = await exchanges.ask(method, path, headers, body, until=until)
            else:
                answer = await exchanges.ask(method, path, headers, body, until=until)
        except TooLate:
            raise
        except NotSent as fault:
            _counted(host, "not-reached").inc()
            raise CaNotReached(f"the CA cannot be reached ({fault})") from None
        except NoAnswer as fault:
            _counted(host, "no-answer").inc()
            raise CaAnswerUnknown(f"the CA gave no answer ({fault})") from None
        _counted(host, answer.status).inc()
        told = answer.headers.get(b"retry-after", b"") if answer.status == 429 else b""
        return Answer(answer.status, _parsed(answer.body, answer.status), float(told) if told.isdigit() else None)

    def _target_of(self, url: str) -> tuple[str, str, Exchanges]:
        """Host, path, and the connections to it. Raises AddressRefused."""
        checked(url, self.allowed)
        origin, path = parted(url)
        exchanges = self._exchanges.get(origin)
        if exchanges is None:
            exchanges = self._exchanges[origin] = Exchanges(origin, self._timeout_s, MAX_ANSWER, addresses=self._addresses)
        return origin.partition("//")[2], path, exchanges


@cache
def _counted(host: str, code: int | str) -> Counter:
    """Few, since hosts and codes are; looking labels up costs more than counting."""
    return REQUESTS.labels(host, str(code))


def _parsed(content: bytes, status: int) -> Any:
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
