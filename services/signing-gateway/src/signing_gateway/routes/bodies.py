"""What clients send, read strictly and bounded. Nulls stand for missing fields, unknown fields are ignored (CSC v2 §10.3)."""

import asyncio
import binascii
import re
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any, Literal, Protocol, TypeVar

import msgspec
from fastapi import Request
from starlette.requests import ClientDisconnect

from hosting.request_head import WHOLE
from signing_gateway.refusals import BodyTooLarge, InvalidRequest

MAX_BODY = 1024 * 1024
BODY_S = 30.0
"""Seconds for a body: nobody holds a connection, or what was judged before it, for longer."""

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
    "num_signatures": "numSignatures",
    "auth_object_id": "authObjectID",
    "document_digests": "documentDigests",
    "return_validation_info": "returnValidationInfo",
    "request_id": "requestID",
}
"""Our names → the API's."""

Certificates = Literal["none", "single", "chain"]

TYPE_WORDS = {"array": "list", "integer": "int", "boolean": "bool", "string": "str"}
"""The API's names of types → Python's. The first that fits counts: a list of strings is an array."""


class Hashes(Protocol):
    """A request with hashes, by v2's name or by v1's."""

    @property
    def hashes(self) -> list[str] | None:
        """CSC v2."""
        ...

    @property
    def hash(self) -> list[str] | None:
        """CSC v1."""
        ...


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


class CredentialsAuthorize(msgspec.Struct, frozen=True, rename=NAMES):
    """`credentials/authorize` (v1 §11.6, v2 §11.6). PIN, OTP and authData are not read: no credential here has any."""

    credential_id: str
    num_signatures: int
    hashes: list[str] | None = None
    hash: list[str] | None = None
    hash_algorithm_oid: str | None = None
    hash_algo: str | None = None


class ExtendTransaction(msgspec.Struct, frozen=True, rename=NAMES):
    """`credentials/extendTransaction` (v1 §11.7, v2 §11.8)."""

    credential_id: str
    sad: str
    hashes: list[str] | None = None
    hash: list[str] | None = None
    hash_algorithm_oid: str | None = None
    hash_algo: str | None = None


class AuthorizeCheck(msgspec.Struct, frozen=True):
    """`credentials/authorizeCheck` (v2)."""

    handle: str


class GetChallenge(msgspec.Struct, frozen=True, rename=NAMES):
    """`credentials/getChallenge` (v2)."""

    credential_id: str
    auth_object_id: str


class SendOTP(msgspec.Struct, frozen=True, rename=NAMES):
    """`credentials/sendOTP` (v1 §11.8)."""

    credential_id: str


class SignHash(msgspec.Struct, frozen=True, rename=NAMES):
    """`signatures/signHash` (§11.10), under the names of v1 and v2. A SAD is not needed; one that is sent is spent."""

    credential_id: str
    sign_algo: str
    hashes: list[str] | None = None
    hash: list[str] | None = None
    hash_algorithm_oid: str | None = None
    hash_algo: str | None = None
    sign_algo_params: str | None = None
    sad: str | None = None
    operation_mode: Literal["S", "A"] | None = None
    validity_period: int | None = None  # milliseconds; with operationMode A
    response_uri: str | None = None


class SignPolling(msgspec.Struct, frozen=True, rename=NAMES):
    """`signatures/signPolling` (v2 §11.12). `requestID` is the `responseID` that was answered."""

    request_id: str


async def body_of(request: Request, *, at_most: int = MAX_BODY, within_s: float = BODY_S) -> bytes:
    """The whole body. Raises BodyTooLarge as soon as it is known to be larger than `at_most`, InvalidRequest when it is late."""
    told = sent(request, b"content-length") or b"0"
    if told.isdigit() and int(told) > at_most:
        raise BodyTooLarge(at_most)
    if WHOLE in request.scope:
        return await _received(request, at_most)
    try:
        async with asyncio.timeout(within_s):
            return await _received(request, at_most)
    except TimeoutError:
        raise InvalidRequest(f"The body did not arrive within {within_s:g} s") from None


def sent(request: Request, name: bytes) -> bytes | None:
    """The first header of that name (lower case); the quickest way to it, since there are few."""
    for each, value in request.scope["headers"]:
        if each == name:
            return bytes(value)
    return None


async def _received(request: Request, at_most: int) -> bytes:
    body = bytearray()  # appended to in place: of many pieces, bytes would copy all that came before with each
    more = True
    while more:  # not `request.stream()`: most bodies are one message
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        more, part = message.get("more_body", False), message.get("body", b"")
        if len(body) + len(part) > at_most:
            raise BodyTooLarge(at_most)
        if not more and not body:
            return bytes(part)
        body += part
    return bytes(body)


async def read(request: Request, kind: type[TBody], *, at_most: int = MAX_BODY, within_s: float = BODY_S) -> TBody:
    """The JSON body as `kind`. Raises as `body_of` and `understood`."""
    return understood(await body_of(request, at_most=at_most, within_s=within_s), kind)


def understood(body: bytes, kind: type[TBody]) -> TBody:
    """A JSON body as `kind`. Raises InvalidRequest that names the parameter, never what was sent in it."""
    try:
        found: TBody = _decoder(kind).decode(body)
    except msgspec.ValidationError as fault:
        raise InvalidRequest(_named(str(fault), kind)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("The body is not JSON. Send a JSON object with Content-Type: application/json.") from None
    return found


@cache
def _decoder(kind: type[TBody]) -> "msgspec.json.Decoder[TBody]":
    return msgspec.json.Decoder(kind)


def _named(fault: str, kind: type[msgspec.Struct]) -> str:
    """The specification's sentence, with its name of the type: "Missing (or invalid type) integer parameter numSignatures"."""
    named = re.search(r"`\$\.(\w+)|required field `(\w+)`", fault)
    if named is None:
        return "The body is not a JSON object."
    name = named[1] or named[2]
    declared = next((str(field.type) for field in msgspec.structs.fields(kind) if field.encode_name == name), "")
    word = next((word for word, type_name in TYPE_WORDS.items() if type_name in declared), "string")
    return f"Missing (or invalid type) {word} parameter {name}"


def hashes_of(asked: Hashes) -> list[str] | None:
    """The hashes under either version's name. Raises InvalidRequest when the two differ."""
    if asked.hashes is not None and asked.hash is not None and asked.hashes != asked.hash:
        raise InvalidRequest("The parameters hash and hashes contradict each other")
    return asked.hashes if asked.hashes is not None else asked.hash


def digests_of(hashes: Sequence[str] | None, digest_bytes: Collection[int], *, at_most: int) -> list[bytes]:
    """The hashes as bytes, each as long as one of `digest_bytes`. Raises InvalidRequest in the words of CSC v2 §11.10."""
    if not hashes:
        raise InvalidRequest("Empty hash array")
    if len(hashes) > at_most:
        raise InvalidRequest(f"Numbers of signatures is too high: at most {at_most} hashes in one request")
    try:
        digests = [binascii.a2b_base64(value, strict_mode=True) for value in hashes]
    except ValueError:  # binascii.Error is one; so is a character beyond ASCII
        raise InvalidRequest("Invalid Base64 hash string parameter") from None
    if any(len(digest) not in digest_bytes for digest in digests):
        raise InvalidRequest("Invalid digest value length")
    return digests


def canonical(digests: Sequence[bytes]) -> list[str]:
    """Digests in the one spelling that base64 has for each."""
    return [binascii.b2a_base64(digest, newline=False).decode("ascii") for digest in digests]


def documented(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The request body for the OpenAPI document."""
    _, components = msgspec.json.schema_components([kind])
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": components[kind.__name__]}}}}
