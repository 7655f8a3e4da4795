"""Calls to a CA: guarded, bounded, and honest about whether they were sent."""

import json
from typing import Any

import aiohttp
from opentelemetry import propagate
from prometheus_client import Counter

from hosting.address import Allowed, PublicOnly, checked

MAX_ANSWER = 1024 * 1024
MAX_DEPTH = 20
REQUESTS = Counter("ca_requests_total", "Exchanges with certificate authorities", ["host", "code"])
Json = dict[str, Any]


class CaNotReached(Exception):
    """The CA certainly got nothing: refused, unknown, or not allowed to be called."""


class CaAnswerUnknown(Exception):
    """The call was sent and no usable answer came; it may have had its effect."""


class Answer:
    """A CA's answer: status and JSON (an empty object where there is none)."""

    def __init__(self, status: int, body: Any) -> None:
        self.status = status
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
    """One HTTP client for all CAs. No redirect is followed, no proxy taken from the environment."""

    def __init__(self, allowed: Allowed, timeout_s: float) -> None:
        self.allowed = allowed
        self._timeout = aiohttp.ClientTimeout(total=timeout_s, connect=5)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()

    async def get(self, url: str) -> Answer:
        """A GET of JSON."""
        return await self._exchange("GET", url)

    async def form(self, url: str, fields: dict[str, str], authorization: str) -> Answer:
        """A form post (OAuth2)."""
        return await self._exchange("POST", url, data=fields, headers={"Authorization": authorization})

    async def json(self, url: str, body: Json, token: str) -> Answer:
        """A JSON post with a bearer token (CSC)."""
        return await self._exchange("POST", url, json=body, headers={"Authorization": f"Bearer {token}"})

    async def _exchange(self, method: str, url: str, **sent: Any) -> Answer:
        checked(url, self.allowed)
        if self._session is None:
            resolver = PublicOnly(self.allowed)
            connector = aiohttp.TCPConnector(resolver=resolver, limit=200, limit_per_host=100, use_dns_cache=False)
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout, trust_env=False)
        headers = {**sent.pop("headers", {}), "Accept": "application/json"}
        propagate.inject(headers)
        host = url.split("/")[2]
        try:
            async with self._session.request(method, url, headers=headers, allow_redirects=False, **sent) as answer:
                content = await answer.content.read(MAX_ANSWER + 1)
                while len(content) <= MAX_ANSWER and (more := await answer.content.read(MAX_ANSWER + 1 - len(content))):
                    content += more
                REQUESTS.labels(host, answer.status).inc()
                return Answer(answer.status, _parsed(content, answer.status))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as fault:
            REQUESTS.labels(host, "not-reached").inc()
            raise CaNotReached(f"the CA cannot be reached ({type(fault).__name__})") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            REQUESTS.labels(host, "no-answer").inc()
            raise CaAnswerUnknown(f"the CA gave no answer ({type(fault).__name__})") from None


def _parsed(content: bytes, status: int) -> Any:
    if len(content) > MAX_ANSWER:
        raise CaAnswerUnknown("the CA's answer is larger than 1 MiB")
    if not content.strip():
        return {}
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        if status >= 300:
            return {}
        raise CaAnswerUnknown("the CA's answer is no JSON") from None
    if _depth(body) > MAX_DEPTH:
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
