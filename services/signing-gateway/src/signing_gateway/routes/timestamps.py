"""`POST …/signatures/timestamp` (CSC v1 §11.10, v2 §11.13): an RFC 3161 token over a digest. It counts to no access grant."""

import base64
import re

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from signing_gateway.algorithms import DIGEST_BYTES
from signing_gateway.refusals import InvalidRequest
from signing_gateway.routes.access import Access
from signing_gateway.routes.answers import answer
from signing_gateway.routes.bodies import NAMES, digests_of, documented
from signing_gateway.seals import NAMES as HASH_NAMES
from signing_gateway.timestamps import TimestampAuthority

NONCE = re.compile(r"[0-9]{1,40}")


class Timestamp(msgspec.Struct, frozen=True, rename=NAMES):
    """`signatures/timestamp`: the names are those of v1 in both versions. `nonce` is a whole number, as a string or a number."""

    hash: str
    hash_algo: str
    nonce: str | int | None = None


def timestamp_routes(access: Access, authority: TimestampAuthority, *, version: str) -> APIRouter:
    """The one endpoint."""
    routes = APIRouter(prefix=f"/csc/{version}/signatures", tags=[f"csc {version}"])

    @routes.post("/timestamp", response_model=None, openapi_extra=documented(Timestamp))
    async def timestamp(request: Request) -> Response:
        """A time-stamp token (RFC 3161, RFC 5816) in base64."""
        _, asked = await access.asked(request, Timestamp)
        if asked.hash_algo not in DIGEST_BYTES:
            raise InvalidRequest("Invalid parameter hashAlgo")
        (digest,) = digests_of([asked.hash], (DIGEST_BYTES[asked.hash_algo],), at_most=1)
        if asked.nonce is not None and not NONCE.fullmatch(str(asked.nonce)):
            raise InvalidRequest("Invalid parameter nonce: a whole number of at most 40 digits")
        nonce = None if asked.nonce is None else int(asked.nonce)
        token = await authority.token(digest, HASH_NAMES[asked.hash_algo], nonce)
        return answer({"timestamp": base64.b64encode(token.dump()).decode()})

    return routes
