"""Calls to timestamp authorities and to what certificates point to: guarded, bounded, tried again, since none has an effect."""

from prometheus_client import Counter

from hosting.address import AddressRefused, Allowed, PublicOnly, checked
from hosting.exchanges import MAX_HEAD, Exchanges, NoAnswer, NotSent, parted
from observability import calling, get_logger

log = get_logger(__name__)

CALLS = Counter("outside_calls_total", "Exchanges with timestamp authorities and what certificates point to", ["host", "code"])
ATTEMPTS = 3
TIMEOUT_S = 5.0
MOST_ORIGINS = 100


class NotReached(Exception):
    """No usable answer came."""


class Outside:
    """The way to all of them: to public addresses alone."""

    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        self._exchanges: dict[tuple[str, int], Exchanges] = {}

    async def close(self) -> None:
        """Closes the connections."""
        while self._exchanges:
            self._exchanges.popitem()[1].close()

    async def get(self, url: str, *, most: int) -> bytes:
        """The content, at most `most` bytes. Raises NotReached."""
        return await self._tried("GET", url, b"", "", most=most, signed=True)

    async def post(self, url: str, content: bytes, kind: str, *, most: int, signed: bool) -> bytes:
        """The answer's content. `signed`: the answer proves itself, so plain http will do. Raises NotReached."""
        return await self._tried("POST", url, content, kind, most=most, signed=signed)

    async def _tried(self, method: str, url: str, content: bytes, kind: str, *, most: int, signed: bool) -> bytes:
        try:
            checked(url, self._allowed, signed=signed)
        except AddressRefused as refusal:
            log.warning("an address is not called", rule=str(refusal))
            raise NotReached(f"its address is not called: {refusal}") from None
        why = ""
        for _ in range(ATTEMPTS):
            try:
                return await self._exchanged(method, url, content, kind, most)
            except (NotSent, NoAnswer) as fault:
                why = str(fault)
                CALLS.labels(url.split("/")[2], "no-answer").inc()
            except NotReached as fault:
                why = str(fault)
        log.warning("an authority gave no usable answer", host=url.split("/")[2], reason=why)
        raise NotReached(why)

    async def _exchanged(self, method: str, url: str, content: bytes, kind: str, most: int) -> bytes:
        origin, path = parted(url)
        exchanges = self._exchanges.get((origin, most))
        if exchanges is None:
            if len(self._exchanges) >= MOST_ORIGINS:
                await self.close()
            exchanges = Exchanges(origin, TIMEOUT_S, most + MAX_HEAD, addresses=PublicOnly(self._allowed))
            self._exchanges[origin, most] = exchanges
        host = url.split("/")[2]
        with calling(f"{method} {host}"):  # strangers are told nothing of it
            answer = await exchanges.ask(method, path, {"Content-Type": kind} if kind else {}, content or None)
        CALLS.labels(host, answer.status).inc()
        if answer.status != 200:
            raise NotReached(f"status {answer.status}")
        if len(answer.body) > most:
            raise NotReached(f"more than {most} bytes")
        return answer.body
