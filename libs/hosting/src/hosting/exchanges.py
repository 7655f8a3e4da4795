"""HTTP/1.1 with one server over connections that are kept, a request and its answer at a time on each (ADR 36).

It leaves out what makes a general client dear: no redirect is followed, no cookie kept, no proxy taken from the environment, no
coded content asked for, and nothing is sent twice. Whoever calls bounds how much is under way.
"""

import asyncio
import math
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import NamedTuple
from urllib.parse import urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from hosting.clock import boottime

Headers = Mapping[str, str]
Addresses = Callable[[str, int], Awaitable[list[str]]]
"""Where a host and port may be called: its addresses, or the name itself. Raises OSError where there is none."""

CONNECT_S = 5.0
MAX_HEAD = 64 * 1024


class NotSent(Exception):
    """There is no connection: the server certainly got nothing."""


class TooLate(NotSent):
    """Connecting took longer than the request was good for. The connection is kept for the next one."""


class NoAnswer(Exception):
    """The request was sent and no whole answer came: it may have had its effect."""


class Answer(NamedTuple):
    """A whole answer. The names of its headers are in small letters."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


class Connection(asyncio.Protocol):
    """One connection, and the answer that is awaited on it. `status` is 0 until the head came; `whole` until when is False."""

    def __init__(self, most: int) -> None:
        self._loop, self._most = asyncio.get_running_loop(), most
        self._transport: asyncio.WriteTransport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._late: asyncio.TimerHandle | None = None
        self._deadline = self.idle_since = 0.0
        self._parts: list[bytes] = []
        self.fault, self._size, self._interim, self._asked = "", 0, False, False
        self._parser = HttpResponseParser(self)
        self.status, self.headers, self.whole, self.keeps = 0, dict[bytes, bytes](), False, False

    def send(self, request: bytes, within_s: float) -> None:
        """Sends a request; its answer is awaited for so long."""
        assert self._transport is not None
        self.status, self.whole, self.keeps, self._asked, self._size = 0, False, False, True, 0
        self._deadline = self._loop.time() + within_s
        if self._late is None:
            self._late = self._loop.call_at(self._deadline, self._look_late)
        self._transport.write(request)

    def _look_late(self) -> None:
        """One timer serves request after request, each of which moves the deadline: one for each is dearer."""
        self._late = None
        if self._asked and self._loop.time() >= self._deadline:
            self._fail("no answer in time")
        elif self._asked:
            self._late = self._loop.call_at(self._deadline, self._look_late)

    async def head(self) -> None:
        """Returns when `status` and `headers` are known. Raises NoAnswer."""
        while not self.status:
            await self.news()

    async def parts(self) -> AsyncIterator[bytes]:
        """The body as it comes. Raises NoAnswer when it breaks off."""
        while not self.whole or self._parts:
            if self._parts:
                yield self.taken()
            else:
                await self.news()

    def free(self, now: float) -> bool:
        """The caller needs nothing more of its answer; whether another request may be sent. `now` is the boot time."""
        self._asked = False
        self._parts.clear()
        self.idle_since = now
        return self.reusable

    @property
    def reusable(self) -> bool:
        """Whether the last answer was whole and the connection stands."""
        return self.whole and self.keeps and self._transport is not None and not self._transport.is_closing()

    def end(self) -> None:
        """Cuts the connection."""
        if self._late is not None:
            self._late.cancel()
            self._late = None
        if self._transport is not None:
            self._transport.abort()

    def taken(self) -> bytes:
        """What came of the body since this was asked last."""
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def news(self) -> "asyncio.Future[None]":
        """Done when more has come. Raises NoAnswer where nothing will."""
        if self.fault:
            raise NoAnswer(self.fault)
        self._waiter = self._loop.create_future()
        return self._waiter

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, fault: str) -> None:
        """A whole answer stays one, but nothing more is sent on this connection."""
        self.keeps = False
        if not self.whole:
            self.fault = self.fault or fault
        self.end()
        self._wake()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's."""
        self._transport = transport  # type: ignore[assignment] # uvloop's is a write transport without saying so

    def data_received(self, data: bytes) -> None:
        """Asyncio's. Whoever waits is woken once for all that one packet brought."""
        self._size += len(data)
        if self._size > self._most:
            self._fail("the answer is too large")
            return
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._fail("what came is no HTTP/1.1 answer")
        if self._size > MAX_HEAD and not self.status:
            self._fail("the answer's head has no end")
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio's. The end of the connection is the end of a body that nothing else bounds (RFC 9112 §6.3)."""
        ends = self.status and b"content-length" not in self.headers and b"transfer-encoding" not in self.headers
        if self._asked and not self.whole and ends and exc is None and not self.fault:
            self.whole = True
        self._fail("the connection was closed")

    def on_message_begin(self) -> None:
        """The parser's. An answer that nobody asked for spoils the connection."""
        if not self._asked or self.whole:
            self._fail("an answer came that nobody asked for")
            return
        self.headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        """The parser's. What comes after the head, a trailer or an answer that nobody asked for, says nothing here."""
        if not self.status:
            self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """The parser's. Answers before the answer are passed over (RFC 9110 §15.2)."""
        status = self._parser.get_status_code()
        self._interim = status < 200
        if not self._interim and not self.whole:
            self.status = status

    def on_body(self, part: bytes) -> None:
        """The parser's."""
        if not self.whole:
            self._parts.append(part)

    def on_message_complete(self) -> None:
        """The parser's."""
        if not self._interim and not self.whole:
            self.whole, self.keeps = True, self._parser.should_keep_alive()


def parted(url: str) -> tuple[str, str]:
    """The origin of a URL, and what is to be asked of it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}", f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"


async def by_name(host: str, port: int) -> list[str]:  # noqa: ARG001 - an `Addresses`
    """Whatever the system resolves it to when it connects."""
    return [host]


@dataclass
class Exchanges:
    """Exchanges with one server, as `http://host:port`. `timeout_s` bounds one as a whole, `most` the bytes of its answer.

    One that was idle for `keep_s` is not used again: many servers end it after five seconds, which leaves an outcome unknown.
    """

    origin: str
    timeout_s: float
    most: int
    keep_s: float = 4.0
    addresses: Addresses = by_name
    _idle: list[Connection] = field(default_factory=list)
    _closed: bool = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.origin)
        self._netloc, self._secure = parts.netloc, parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port or (443 if self._secure else 80)
        self._always = f" HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: sinete\r\nAccept-Encoding: identity\r\n"

    def close(self) -> None:
        """Ends the connections that nobody uses; the others end with their exchanges."""
        self._closed = True
        while self._idle:
            self._idle.pop().end()

    async def ask(self, method: str, path: str, headers: Headers, body: bytes | None = None, until: float = math.inf) -> Answer:
        """One exchange, begun before the boot time `until`. Raises NotSent, TooLate or NoAnswer."""
        connection = await self._sent(method, path, headers, body, until)
        try:
            while not connection.whole:
                await connection.news()
            return Answer(connection.status, connection.headers, connection.taken())
        finally:
            self._back(connection)

    @asynccontextmanager
    async def answering(self, method: str, path: str, headers: Headers, body: bytes | None = None) -> AsyncIterator[Connection]:
        """One exchange whose answer's head came; its body is read inside. Raises NotSent or NoAnswer."""
        connection = await self._sent(method, path, headers, body, math.inf)
        try:
            await connection.head()
            yield connection
        finally:
            self._back(connection)

    async def _sent(self, method: str, path: str, headers: Headers, body: bytes | None, until: float) -> Connection:
        request = self._request(method, path, headers, body)
        now, left_s = boottime(), self.timeout_s
        connection = self._kept(now)
        if connection is None:
            connection = await self._connected()
            left_s -= (begun := boottime()) - now
            if begun >= until:
                connection.whole = connection.keeps = True  # as after an answer
                self._back(connection)
                raise TooLate("connecting took too long")
        if connection.fault:
            raise NotSent(connection.fault)
        connection.send(request, left_s)
        return connection

    def _back(self, connection: Connection) -> None:
        now = boottime()  # a host that slept finds its connections idle
        while self._idle and not self._fresh(self._idle[0], now):  # the longest idle is the first
            self._idle.pop(0).end()
        if connection.free(now) and not self._closed:
            self._idle.append(connection)
        else:
            connection.end()

    def _request(self, method: str, path: str, headers: Headers, body: bytes | None) -> bytes:
        told = f"{method} {path}{self._netloc}{''.join(headers)}{''.join(headers.values())}"
        if not told.isascii() or not told.isprintable():  # a line's end within it would begin a header of its own
            raise NotSent("a header has other characters than HTTP takes")
        lines = "".join(map("%s: %s\r\n".__mod__, headers.items()))
        length = "" if body is None else f"Content-Length: {len(body)}\r\n"
        return f"{method} {path}{self._always}{lines}{length}\r\n".encode() + (body or b"")

    def _kept(self, now: float) -> Connection | None:
        """The one that was used last, so that those which are not needed end."""
        while self._idle:
            if self._fresh(connection := self._idle.pop(), now):
                return connection
            connection.end()
        return None

    def _fresh(self, connection: Connection, now: float) -> bool:
        return connection.reusable and connection.idle_since > now - self.keep_s

    async def _connected(self) -> Connection:
        try:
            async with asyncio.timeout(min(CONNECT_S, self.timeout_s)):
                return await self._connected_to(await self.addresses(self._host, self._port))
        except (OSError, TimeoutError) as fault:  # an SSLError is an OSError
            raise NotSent(type(fault).__name__) from None

    async def _connected_to(self, addresses: list[str]) -> Connection:
        """The first address that lets us in."""
        trust, name = (_trust(), self._host) if self._secure else (None, None)
        loop, made, fault = asyncio.get_running_loop(), partial(Connection, self.most), OSError("no address")
        for address in addresses:
            try:
                _, connection = await loop.create_connection(made, address, self._port, ssl=trust, server_hostname=name)
            except OSError as why:
                fault = why
            else:
                return connection
        raise fault


@cache
def _trust() -> ssl.SSLContext:
    """Whom the host trusts."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
