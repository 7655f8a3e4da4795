"""The load: one process, many keep-alive connections, requests made beforehand, every answer checked.

`python -m tests.bench.load ORDER MEASURED`: two JSON files, an `Order` that is read and a `Measured` that is written.
"""

import asyncio
import random
import ssl
import sys
import time
from collections import deque
from functools import cache
from pathlib import Path
from typing import cast

import msgspec
import psutil
import uvloop
from tests.bench.material import Material

HANDSHAKES = 32
SPARE_S = 20.0


class Client(msgspec.Struct):
    """Who calls on one connection: its token, its credential, the key behind it, its TLS certificate (a PEM file, or none)."""

    token: str
    credential: str
    key: int
    pem: str = ""


class Order(msgspec.Struct):
    """What to do. `rate` 0: as fast as answers come, `at_once` at a time; else so many requests a second, come what may."""

    host: str
    port: int
    material: str
    clients: list[Client]
    ca: str = ""  # that the server's certificate is checked against; none: plain
    hashes: int = 1
    at_once: int = 64
    rate: float = 0.0
    warm_s: float = 1.0
    each_once: bool = False  # whether every connection has to have had an answer, too, before anything is measured
    seconds: float = 5.0
    pid: int = 0  # the process whose CPU time is measured


class Measured(msgspec.Struct):
    """What came of it. `latencies` in seconds, a sample of at most 20 000; `cpu` in seconds of `Order.pid`."""

    requests: int
    wall: float
    cpu: float
    refused: int
    first_refusal: str
    latencies: list[float]

    def percentile(self, share: float) -> float:
        """Seconds within which `share` of the answers came."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Connection(asyncio.Protocol):
    """One keep-alive connection; one request at a time."""

    def __init__(self, load: "Load", client: Client) -> None:
        self._load, self._client = load, client
        self._transport: asyncio.Transport | None = None
        self._head = (
            f"POST /csc/v2/signatures/signHash HTTP/1.1\r\nHost: {load.order.host}:{load.order.port}\r\n"
            f"Authorization: Bearer {client.token}\r\nContent-Type: application/json\r\nContent-Length: "
        ).encode()
        self._body = (
            f'{{"credentialID":"{client.credential}","signAlgo":"1.2.840.113549.1.1.11",'
            '"hashAlgorithmOID":"2.16.840.1.101.3.4.2.1","hashes":["'
        ).encode()
        self._answer = bytearray()
        self._expected = b""
        self._sent = 0.0
        self.open = self.answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's."""
        self._transport, self.open = cast("asyncio.Transport", transport), True  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's."""
        self.open = False
        if self._expected:
            self._load.answered(self, self._sent, ok=False, answer=b"the connection was closed")

    def fire(self, due: float) -> None:
        """Sends a request. `due` is when it should have been sent: a server that is late shall not hide its lateness."""
        asked, self._expected = self._load.next_hashes(self._client.key)
        body = self._body + asked + b'"]}'
        self._sent = due
        assert self._transport
        self._transport.write(b"%s%d\r\n\r\n%s" % (self._head, len(body), body))

    def data_received(self, data: bytes) -> None:
        """asyncio's. An answer is whole when as many bytes came as its head says."""
        answer = self._answer
        answer += data
        end = answer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = answer.lower().find(b"content-length:", 0, end)
        length = int(answer[at + 15 : answer.index(b"\r\n", at)])
        if len(answer) < end + 4 + length:
            return
        whole, self._answer = bytes(answer), bytearray()
        self.answered = True
        ok = whole.startswith(b"HTTP/1.1 200") and self._expected in whole
        self._expected = b""
        self._load.answered(self, self._sent, ok=ok, answer=whole)


@cache
def _context(ca: str, pem: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = False
    if pem:
        context.load_cert_chain(pem)
    return context


class Load:
    """All connections and what is measured on them."""

    def __init__(self, order: Order) -> None:
        self.order = order
        material = Material.read(Path(order.material))
        self._rows = [list(zip(material.digests, row, strict=True)) for row in material.signatures]
        self._connections: list[Connection] = []
        self._idle: deque[Connection] = deque()
        self._owed: deque[float] = deque()
        self._under_way = self._count = self._refused = 0
        self._first_refusal = ""
        self._latencies: list[float] = []
        self._measuring = self._stopping = False

    def next_hashes(self, key: int) -> tuple[bytes, bytes]:
        """The hashes of a request as they stand in its JSON, and the signatures as they have to stand in the answer's."""
        picked = random.choices(self._rows[key], k=self.order.hashes)
        return '","'.join(row[0] for row in picked).encode(), '","'.join(row[1] for row in picked).encode()

    async def connect(self) -> None:
        """Opens every connection."""
        bound = asyncio.Semaphore(HANDSHAKES)
        loop = asyncio.get_running_loop()

        async def one(client: Client) -> None:
            async with bound:
                made = Connection(self, client)
                context = _context(self.order.ca, client.pem) if self.order.ca else None
                await loop.create_connection(lambda: made, self.order.host, self.order.port, ssl=context)
                self._connections.append(made)
                self._idle.append(made)

        await asyncio.gather(*(one(client) for client in self.order.clients))

    def answered(self, connection: Connection, sent: float, *, ok: bool, answer: bytes) -> None:
        """One request came to its end."""
        self._under_way -= 1
        if connection.open:
            self._idle.append(connection)
        if self._measuring:
            self._count += ok
            self._latencies.append(time.perf_counter() - sent)
        if not ok:
            self._refused += 1
            self._first_refusal = self._first_refusal or answer[-400:].decode("utf-8", "replace")
        self._pump()

    def _pump(self) -> None:
        """As many requests as are owed, or as may be under way, over the connections in turn."""
        if self.order.rate:
            while self._owed and self._idle:
                self._fire(self._owed.popleft())
        elif not self._stopping:
            while self._idle and self._under_way < self.order.at_once:
                self._fire(time.perf_counter())

    def _fire(self, due: float) -> None:
        while self._idle:
            connection = self._idle.popleft()
            if connection.open:
                self._under_way += 1
                connection.fire(due)
                return

    async def _keep_owing(self) -> None:
        """An open loop: requests come at their instants, whatever became of those before."""
        due = time.perf_counter()
        while not self._stopping:
            now = time.perf_counter()
            while due <= now:
                self._owed.append(due)
                due += random.expovariate(self.order.rate)
            self._pump()
            await asyncio.sleep(max(0.0005, due - time.perf_counter()))

    async def run(self) -> Measured:
        """Connects, warms up, measures."""
        await self.connect()
        owing = asyncio.create_task(self._keep_owing()) if self.order.rate else None
        self._pump()
        await asyncio.sleep(self.order.warm_s)
        while self.order.each_once and any(each.open and not each.answered for each in self._connections):
            await asyncio.sleep(0.1)
        process = psutil.Process(self.order.pid) if self.order.pid else None
        begun, cpu = time.perf_counter(), _cpu(process)
        self._measuring = True
        await asyncio.sleep(self.order.seconds)
        self._measuring = False
        wall, cpu = time.perf_counter() - begun, _cpu(process) - cpu
        self._stopping = True
        self._owed.clear()
        deadline = time.monotonic() + SPARE_S
        while self._under_way and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        if owing:
            owing.cancel()
        sample = random.sample(self._latencies, min(20_000, len(self._latencies)))
        return Measured(self._count, wall, cpu, self._refused, self._first_refusal, sample)


def _cpu(process: psutil.Process | None) -> float:
    return sum(process.cpu_times()[:2]) if process else 0.0


def main() -> None:
    """See the module."""
    order = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Order)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        measured = runner.run(Load(order).run())
    Path(sys.argv[2]).write_bytes(msgspec.json.encode(measured))


if __name__ == "__main__":
    main()
