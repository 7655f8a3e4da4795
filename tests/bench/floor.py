"""The floor: a bare Starlette + msgspec echo of the same sizes that verifies the same signatures, and nothing else.

`python -m tests.bench.floor PORT MATERIAL [CERTIFICATE KEY CLIENT_CA]`: with the files over mTLS, as the gateway.
"""

import base64
import gc
import ssl
import sys
from pathlib import Path

import msgspec
import uvicorn
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tests.bench.material import Material

from hosting import COLLECT_EVERY

PATH = "/csc/v2/signatures/signHash"


class Asked(msgspec.Struct, rename={"credential_id": "credentialID", "sign_algo": "signAlgo"}):
    """The request that clients of the gateway send."""

    credential_id: str
    sign_algo: str
    hashes: list[str]


def floor(material: Material) -> Starlette:
    """One route: reads the request, verifies each hash's signature, answers the signatures.

    The key is told by the credential's last digits, as the load numbers them.
    """
    known = [dict(zip(material.digests, row, strict=True)) for row in material.signatures]
    keys = [material.private_key(number).public_key() for number in range(len(material.keys))]
    decode, encode = msgspec.json.Decoder(Asked).decode, msgspec.json.Encoder().encode
    padded, prehashed = padding.PKCS1v15(), Prehashed(hashes.SHA256())

    async def echo(request: Request) -> Response:
        asked = decode(await request.body())
        number = int(asked.credential_id[-12:]) % len(keys)
        signatures = [known[number][value] for value in asked.hashes]
        for value, made in zip(asked.hashes, signatures, strict=True):
            keys[number].verify(base64.b64decode(made), base64.b64decode(value), padded, prehashed)
        return Response(encode({"signatures": signatures}), media_type="application/json")

    return Starlette(routes=[Route(PATH, echo, methods=["POST"])])


def main() -> None:
    """See the module."""
    port, material, *tls = sys.argv[1:]
    gc.set_threshold(*COLLECT_EVERY)  # as every service: what the collector takes is nothing that the gateway adds
    config = uvicorn.Config(
        floor(Material.read(Path(material))),
        host="127.0.0.1",
        port=int(port),
        lifespan="off",
        access_log=False,
        log_level="warning",
        http="httptools",
        timeout_keep_alive=600,
    )
    if tls:
        certificate, key, client_ca = tls
        config.ssl_certfile, config.ssl_keyfile, config.ssl_ca_certs = certificate, key, client_ca
        config.ssl_cert_reqs = ssl.CERT_REQUIRED
    config.load()
    if config.ssl:
        config.ssl.minimum_version, config.ssl.num_tickets = ssl.TLSVersion.TLSv1_3, 0
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
