"""A certificate authority that costs next to nothing: `python -m tests.bench.stub_ca PORT MATERIAL replay|sign`.

OAuth2 metadata and refresh, CSC v2 `credentials/authorize` and `signatures/signHash`. `replay` answers signatures made
beforehand; `sign` makes them with the real keys. Credential `cred-N` has key N modulo the number of keys. `GET /times` answers
and forgets the seconds that each signHash took here, so that a latency can be measured without them. Traces may be sent here too.
"""

import asyncio
import base64
import sys
import time
from pathlib import Path
from typing import cast

import msgspec
import uvloop
from httptools import HttpRequestParser
from tests.bench.machine import elsewhere
from tests.bench.material import Material, signature

TRACED = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
ANSWERED = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


class Asked(msgspec.Struct, rename={"credential_id": "credentialID"}):
    """What is read of a signHash."""

    credential_id: str
    hashes: list[str]


class StubCa:
    """What the authority answers, whoever asks."""

    def __init__(self, material: Material, origin: str, *, replay: bool) -> None:
        self._origin, self._replay = origin, replay
        self._known = [dict(zip(material.digests, row, strict=True)) for row in material.signatures]
        self._keys = [material.private_key(number) for number in range(len(material.keys))]
        self._asked = msgspec.json.Decoder(Asked)
        self._encode = msgspec.json.Encoder().encode
        self.times: list[float] = []
        self.signed = 0

    def answer(self, path: bytes, body: bytes) -> bytes:
        """A whole HTTP response."""
        if path == b"/v1/traces":
            return TRACED
        told = self._encode(self._told(path, body))
        return ANSWERED % (len(told), told)

    def _told(self, path: bytes, body: bytes) -> object:
        if path.endswith(b"/signatures/signHash"):
            asked = self._asked.decode(body)
            self.signed += len(asked.hashes)
            key = int(asked.credential_id.rpartition("-")[2]) % len(self._keys)
            if self._replay:
                return {"signatures": [self._known[key][value] for value in asked.hashes]}
            return {"signatures": [signature(self._keys[key], base64.b64decode(value)) for value in asked.hashes]}
        if path.endswith(b"/credentials/authorize"):
            return {"SAD": "sad", "expiresIn": 3_600}
        if path == b"/times":
            told, self.times = {"seconds": self.times, "signed": self.signed}, []
            return told
        if path.endswith(b"/token"):
            return {"access_token": "at", "refresh_token": "rt", "token_type": "Bearer", "expires_in": 86_400}
        return {
            "issuer": self._origin,
            "authorization_endpoint": f"{self._origin}/authorize",
            "token_endpoint": f"{self._origin}/token",
        }


class Exchanges(asyncio.Protocol):
    """One keep-alive connection. A request that cannot be read or answered is told on stderr by the loop, which ends it."""

    def __init__(self, ca: StubCa) -> None:
        self._ca = ca
        self._parser = HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._url = self._body = b""
        self._begun = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        """asyncio's."""
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        """The parser's."""
        self._begun = time.perf_counter()
        self._url = self._body = b""

    def on_url(self, url: bytes) -> None:
        """The parser's; maybe in pieces."""
        self._url += url

    def on_body(self, body: bytes) -> None:
        """The parser's; maybe in pieces."""
        self._body += body

    def on_message_complete(self) -> None:
        """The parser's. It answers at once, so that what is pipelined is answered in turn."""
        assert self._transport
        path = self._url.partition(b"?")[0]
        self._transport.write(self._ca.answer(path, self._body))
        if path.endswith(b"signHash"):
            self._ca.times.append(time.perf_counter() - self._begun)
        if not self._parser.should_keep_alive():
            self._transport.close()


async def serve(ca: StubCa, port: int) -> None:
    """Until the process is ended."""
    server = await asyncio.get_running_loop().create_server(lambda: Exchanges(ca), "127.0.0.1", port)
    await server.serve_forever()


def main() -> None:
    """See the module."""
    port, material, mode = int(sys.argv[1]), Material.read(Path(sys.argv[2])), sys.argv[3]
    replay = mode == "replay"
    if replay:
        elsewhere()
    ca = StubCa(material, f"http://127.0.0.1:{port}", replay=replay)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(ca, port))


if __name__ == "__main__":
    main()
