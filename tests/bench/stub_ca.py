"""A certificate authority that costs next to nothing: `python -m tests.bench.stub_ca PORT MATERIAL replay|sign`.

OAuth2 metadata and refresh, CSC v2 `credentials/authorize` and `signatures/signHash`. `replay` answers signatures made
beforehand; `sign` makes them with the real keys. Credential `cred-N` has key N modulo the number of keys. `GET /times` answers
and forgets the seconds that each signHash took here, so that a latency can be measured without them. Traces may be sent here too.
"""

import base64
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from tests.bench.material import Material, signature

from hosting.request_head import BoundedHead

JSON = [(b"content-type", b"application/json")]


class Asked(msgspec.Struct, rename={"credential_id": "credentialID"}):
    """What is read of a signHash."""

    credential_id: str
    hashes: list[str]


class StubCa:
    """The ASGI application."""

    def __init__(self, material: Material, origin: str, *, replay: bool) -> None:
        self._origin, self._replay = origin, replay
        self._known = [dict(zip(material.digests, row, strict=True)) for row in material.signatures]
        self._keys = [material.private_key(number) for number in range(len(material.keys))]
        self._asked = msgspec.json.Decoder(Asked)
        self._encode = msgspec.json.Encoder().encode
        self.times: list[float] = []
        self.signed = 0

    async def __call__(self, scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        begun = time.perf_counter()
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        path = scope["path"]
        if path == "/v1/traces":
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})
            return
        answered = self._encode(self._answer(path, body))
        await send({"type": "http.response.start", "status": 200, "headers": [*JSON, (b"content-length", b"%d" % len(answered))]})
        await send({"type": "http.response.body", "body": answered})
        if path.endswith("signHash"):
            self.times.append(time.perf_counter() - begun)

    def _answer(self, path: str, body: bytes) -> object:
        if path.endswith("/signatures/signHash"):
            asked = self._asked.decode(body)
            self.signed += len(asked.hashes)
            key = int(asked.credential_id.rpartition("-")[2]) % len(self._keys)
            if self._replay:
                return {"signatures": [self._known[key][value] for value in asked.hashes]}
            return {"signatures": [signature(self._keys[key], base64.b64decode(value)) for value in asked.hashes]}
        if path.endswith("/credentials/authorize"):
            return {"SAD": "sad", "expiresIn": 3_600}
        if path == "/times":
            told, self.times = {"seconds": self.times, "signed": self.signed}, []
            return told
        if path.endswith("/token"):
            return {"access_token": "at", "refresh_token": "rt", "token_type": "Bearer", "expires_in": 86_400}
        return {
            "issuer": self._origin,
            "authorization_endpoint": f"{self._origin}/authorize",
            "token_endpoint": f"{self._origin}/token",
        }


def main() -> None:
    """See the module."""
    port, material, mode = int(sys.argv[1]), Material.read(Path(sys.argv[2])), sys.argv[3]
    app = StubCa(material, f"http://127.0.0.1:{port}", replay=mode == "replay")
    uvicorn.run(app, host="127.0.0.1", port=port, lifespan="off", access_log=False, log_level="warning", http=BoundedHead)


if __name__ == "__main__":
    main()
