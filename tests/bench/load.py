"""The load: one process, many keep-alive connections, requests made beforehand, every answer checked.

`python -m tests.bench.load ORDER MEASURED`: two JSON files, an `Order` that is read and a `Measured` that is written.
"""

import math
import random
import select
import socket
import ssl
import struct
import sys
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import cycle
from pathlib import Path

import msgspec
import psutil
from tests.bench.machine import elsewhere
from tests.bench.material import Material

HANDSHAKES = 32
SPARE_S = 20.0
RECORD = 1 << 14  # bytes, the most that TLS has in one piece
STAMPED = 35  # Linux's SO_TIMESTAMPNS, which Python does not name
STAMP = struct.Struct("@ll")  # seconds and nanoseconds of the system's clock
AHEAD = time.clock_gettime(time.CLOCK_REALTIME) - time.perf_counter()  # that clock's, of the one that is never set

RSA_SHA256 = "1.2.840.113549.1.1.11"
SHA256 = "2.16.840.1.101.3.4.2.1"
DIGEST = 44  # characters of a SHA-256 digest in base64
BETWEEN = '","'  # in a list of JSON
CLOSING = '"]}'
PICKS = 200  # different requests for each key


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
    """What came of it. `latencies` in seconds, a sample of at most 20 000, at a rate only; `cpu` in seconds of `Order.pid`."""

    requests: int
    wall: float
    cpu: float
    refused: int
    first_refusal: str
    latencies: list[float]
    apart: bool = False  # whether the load had not to wait for a core

    def percentile(self, share: float) -> float:
        """Seconds within which `share` of the answers came."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Connection:
    """One keep-alive connection; one request at a time."""

    def __init__(self, order: Order, client: Client) -> None:
        body = f'{{"credentialID":"{client.credential}","signAlgo":"{RSA_SHA256}","hashAlgorithmOID":"{SHA256}","hashes":["'
        length = len(body) + order.hashes * (DIGEST + len(BETWEEN)) - len(BETWEEN) + len(CLOSING)
        self._head = (
            f"POST /csc/v2/signatures/signHash HTTP/1.1\r\nHost: {order.host}:{order.port}\r\n"
            f"Authorization: Bearer {client.token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {length}\r\n\r\n{body}"
        ).encode()
        self._answer = b""
        self._expected = b""
        self.key = client.key
        self.due = self.came = 0.0
        self.answered = False
        self.socket = socket.create_connection((order.host, order.port), timeout=SPARE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if order.ca:
            self.socket = _context(order.ca, client.pem).wrap_socket(self.socket)
        self.socket.setblocking(False)
        if order.rate:
            self.socket.setsockopt(socket.SOL_SOCKET, STAMPED, 1)

    @property
    def under_way(self) -> bool:
        """Whether an answer is awaited."""
        return bool(self._expected)

    def fire(self, due: float, asked: bytes, expected: bytes) -> None:
        """Sends a request. `due` is when it should have been sent: a server that is late shall not hide its lateness.

        It goes in one piece, since it is far smaller than the empty buffer of a connection on which nothing is under way.
        """
        self.due, self._answer, self._expected = due, b"", expected
        self.socket.send(self._head + asked)

    def look(self) -> None:
        """Notes when that came which is there to be read: as the kernel has it, so however late it is read."""
        beneath = socket.socket.recvmsg  # TLS has no such call
        there, told, *_ = beneath(self.socket, 1, socket.CMSG_SPACE(STAMP.size), socket.MSG_PEEK)
        if there:  # else it was closed
            ((_, _, stamp),) = told
            seconds, nanoseconds = STAMP.unpack(stamp)
            self.came = seconds + nanoseconds / 1e9 - AHEAD

    def take(self) -> bytes | None:
        """What has come of the answer, if that is all of it: as many bytes as its head says. None while some is missing.

        Raises OSError when the connection is closed.
        """
        while True:
            try:
                came = self.socket.recv(RECORD)
            except (BlockingIOError, ssl.SSLWantReadError):
                return None
            if not came:
                raise ConnectionResetError("the connection was closed")
            self._answer += came
            if self._whole():
                return self._answer

    def _whole(self) -> bool:
        end = self._answer.find(b"\r\n\r\n")
        if end < 0:
            return False
        at = self._answer.lower().find(b"content-length:", 0, end)
        return len(self._answer) >= end + 4 + int(self._answer[at + 15 : self._answer.index(b"\r\n", at)])

    def ends(self, answer: bytes) -> bool:
        """Ends the request that is under way, and says whether this is the answer to it."""
        expected, self._expected = self._expected, b""
        return answer.startswith(b"HTTP/1.1 200") and expected in answer


def _picks(digests: list[str], signatures: list[str], hashes: int) -> list[tuple[bytes, bytes]]:
    """So many hashes at a time as they end a request, and the signatures as they have to stand in the answer to it."""
    rows = list(zip(digests, signatures, strict=True))
    picked = [zip(*random.choices(rows, k=hashes), strict=True) for _ in range(PICKS)]
    return [((BETWEEN.join(asked) + CLOSING).encode(), BETWEEN.join(expected).encode()) for asked, expected in picked]


@cache
def _context(ca: str, pem: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = False
    if pem:
        context.load_cert_chain(pem)
    return context


class Load:
    """All connections and what is measured on them.

    It runs beside what is measured, so it has no event loop but the kernel's: a request costs one send and what its answer
    takes to be read. At a rate it wakes for what it has to send alone, and sees then what has come.
    """

    def __init__(self, order: Order) -> None:
        self.order = order
        material = Material.read(Path(order.material))
        self._picks = [cycle(_picks(material.digests, row, order.hashes)) for row in material.signatures]
        self._epoll = select.epoll()
        self._open: dict[int, Connection] = {}
        self._idle: deque[Connection] = deque()
        self._owed: deque[float] = deque()
        self._due = math.inf
        self._under_way = self._count = self._refused = 0
        self._first_refusal = ""
        self._latencies: list[float] = []
        self._measuring = self._stopping = False
        self._from = self._to = math.inf  # what is due between them is measured, whenever it is answered

    def connect(self) -> None:
        """Opens every connection."""
        with ThreadPoolExecutor(HANDSHAKES) as pool:
            self._idle.extend(pool.map(partial(Connection, self.order), self.order.clients))
        for connection in self._idle:
            self._open[connection.socket.fileno()] = connection
            self._epoll.register(connection.socket, select.EPOLLIN)

    def _take(self, descriptor: int) -> None:
        connection = self._open[descriptor]
        try:
            if self.order.rate:
                connection.look()
            answer = connection.take()
        except OSError as closed:
            self._close(descriptor, str(closed))
        else:
            if answer is not None:
                self._idle.append(connection)
                self._ended(connection, answer)

    def _close(self, descriptor: int, why: str) -> None:
        connection = self._open.pop(descriptor)
        connection.socket.close()
        connection.came = time.perf_counter()
        if connection.under_way:
            self._ended(connection, why.encode())
        else:
            self._idle.remove(connection)

    def _ended(self, connection: Connection, answer: bytes) -> None:
        ok = connection.ends(answer)
        connection.answered = True
        self._under_way -= 1
        if self._measuring:
            self._count += ok
        if self.order.rate and self._from <= connection.due < self._to:
            self._latencies.append(connection.came - connection.due)
        if not ok:
            self._refused += 1
            self._first_refusal = self._first_refusal or answer[-400:].decode("utf-8", "replace")

    def _send(self, now: float) -> None:
        """As many requests as are owed, or as may be under way, over the connections in turn.

        Owed is an open loop: requests come at their instants, whatever became of those before.
        """
        while self._due <= now:
            self._owed.append(self._due)
            self._due += random.expovariate(self.order.rate)
        if self.order.rate:
            while self._owed and self._idle:
                self._fire(self._owed.popleft())
        elif not self._stopping:
            while self._idle and self._under_way < self.order.at_once:
                self._fire(now)

    def _fire(self, due: float) -> None:
        connection = self._idle.popleft()
        self._under_way += 1
        descriptor = connection.socket.fileno()
        try:
            connection.fire(due, *next(self._picks[connection.key]))
        except OSError as closed:
            self._close(descriptor, str(closed))

    def _go_on(self, seconds: float) -> None:
        """Sends what is due and takes what comes, for so long."""
        end = time.perf_counter() + seconds
        while (now := time.perf_counter()) < end:
            self._send(now)
            if self.order.rate:
                self._take_all(0)
                time.sleep(max(0.0, min(end, self._due) - time.perf_counter()))
            else:
                self._take_all(end - now)

    def _take_all(self, wait: float) -> None:
        for descriptor, _ in self._epoll.poll(wait):
            self._take(descriptor)

    def run(self) -> Measured:
        """Connects, warms up, measures."""
        self.connect()
        if self.order.rate:
            self._due = time.perf_counter()
        self._go_on(self.order.warm_s)
        while self.order.each_once and not all(each.answered for each in self._open.values()):
            self._go_on(0.1)
        process = psutil.Process(self.order.pid) if self.order.pid else None
        begun, cpu = time.perf_counter(), _cpu(process)
        self._from, self._measuring = begun, True
        self._go_on(self.order.seconds)
        self._to, self._measuring = time.perf_counter(), False
        wall, cpu = self._to - begun, _cpu(process) - cpu
        self._stopping, self._due = True, math.inf
        deadline = time.monotonic() + SPARE_S
        while (self._under_way or self._owed) and time.monotonic() < deadline:
            self._go_on(0.02)
        sample = random.sample(self._latencies, min(20_000, len(self._latencies)))
        return Measured(self._count, wall, cpu, self._refused, self._first_refusal, sample)


def _cpu(process: psutil.Process | None) -> float:
    return sum(process.cpu_times()[:2]) if process else 0.0


def main() -> None:
    """See the module."""
    order = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Order)
    apart = bool(order.rate) and elsewhere()
    Path(sys.argv[2]).write_bytes(msgspec.json.encode(msgspec.structs.replace(Load(order).run(), apart=apart)))


if __name__ == "__main__":
    main()
