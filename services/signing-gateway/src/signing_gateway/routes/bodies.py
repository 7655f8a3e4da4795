"""What clients send, read strictly and bounded. Nulls stand for missing fields, unknown fields are ignored (CSC v2 §10.3)."""

import binascii
import re
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

import msgspec
from fastapi import Request

from signing_gateway.refusals import BodyTooLarge, InvalidRequest

MAX_BODY = 1024 * 1024

TBody = TypeVar("TBody", bound=msgspec.Struct)

NAMES = {
    "credential_id": "credentialID",
    "sad": "SAD",
    "hash_algorithm_oid": "hashAlgorithmOID",
    "hash_algo": "hashAlgo",
    "sign_algo": "signAlgo",
    "sign_algo_params": "signAlgoParams",
    "operation_mode": "operationMode",
    "user_id": "userID",
    "page_token": "pageToken",
    "max_results": "maxResults",
    "credential_info": "credentialInfo",
    "cert_info": "certInfo",
    "auth_info": "authInfo",
    "only_valid": "onlyValid",
}
"""Our names → the API's."""

Certificates = Literal["none", "single", "chain"]


class Info(msgspec.Struct, frozen=True):
    """`info` (CSC v2 §11.1)."""

    lang: str | None = None


class CredentialsList(msgspec.Struct, frozen=True, rename=NAMES):
    """`credentials/list` (§11.4)."""

    user_id: str | None = None
    credential_info: bool | None = None
    certificates: Certificates | None = None
    cert_info: bool | None = None
    auth_info: bool | None = None
    only_valid: bool | None = None
    max_results: int | None = None
    page_token: str | None = None
    lang: str | None = None


class CredentialsInfo(msgspec.Struct, frozen=True, rename=NAMES):
    """`credentials/info` (§11.5)."""

    credential_id: str
    certificates: Certificates | None = None
    cert_info: bool | None = None
    auth_info: bool | None = None
    lang: str | None = None


class SignHash(msgspec.Struct, frozen=True, rename=NAMES):
    """`signatures/signHash` (§11.10), with v1's `hash` and `hashAlgo` beside v2's names. A SAD is not needed and not used."""

    credential_id: str
    sign_algo: str
    hashes: list[str] | None = None
    hash: list[str] | None = None
    hash_algorithm_oid: str | None = None
    hash_algo: str | None = None
    sign_algo_params: str | None = None
    sad: str | None = None
    operation_mode: Literal["S", "A"] | None = None


async def body_of(request: Request) -> bytes:
    """The whole body. Raises BodyTooLarge as soon as it is known to be larger than MAX_BODY."""
    told = request.headers.get("content-length", "0")
    if told.isdecimal() and int(told) > MAX_BODY:
        raise BodyTooLarge(MAX_BODY)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise BodyTooLarge(MAX_BODY)
    return bytes(body)


async def read(request: Request, kind: type[TBody]) -> TBody:
    """The JSON body as `kind`. Raises InvalidRequest that names the parameter, never what was sent in it."""
    body = await body_of(request)
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as fault:
        raise InvalidRequest(_named(str(fault))) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("The body is not JSON. Send a JSON object with Content-Type: application/json.") from None


def _named(fault: str) -> str:
    named = re.search(r"`\$\.(\w+)|required field `(\w+)`", fault)
    if named is None:
        return "The body is not a JSON object."
    return f"Missing (or invalid type) parameter {named[1] or named[2]}"


def digests_of(hashes: Sequence[str] | None, digest_bytes: int, *, at_most: int) -> list[bytes]:
    """The hashes as bytes. Raises InvalidRequest in the words of CSC v2 §11.10."""
    if not hashes:
        raise InvalidRequest("Empty hash array")
    if len(hashes) > at_most:
        raise InvalidRequest(f"Numbers of signatures is too high: at most {at_most} hashes in one request")
    try:
        digests = [binascii.a2b_base64(value, strict_mode=True) for value in hashes]
    except ValueError:  # binascii.Error is one; so is a character beyond ASCII
        raise InvalidRequest("Invalid Base64 hash string parameter") from None
    if any(len(digest) != digest_bytes for digest in digests):
        raise InvalidRequest("Invalid digest value length")
    return digests


def documented(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The request body for the OpenAPI document."""
    _, components = msgspec.json.schema_components([kind])
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": components[kind.__name__]}}}}
