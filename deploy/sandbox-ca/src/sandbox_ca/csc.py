"""The CSC resource server of each CA, v2.0.0.2 and the names of v1.0.4 on the same handlers."""

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox_ca.codes import Refused, refused_otp, refused_pin
from sandbox_ca.credentials import HASHES, SIGN_ALGORITHMS, Credential
from sandbox_ca.cut import Cut
from sandbox_ca.descriptions import MULTISIGN, described, service
from sandbox_ca.forms import BadInput, read_json
from sandbox_ca.memory import Token
from sandbox_ca.oauth import refusal
from sandbox_ca.parts import MAX_ATTEMPTS, SMS_FAILED, Authority, MishapKind

Body = dict[str, Any]
HASHES_PER_CALL = 1_000
SAD_LIFE_S = {"a": 3_600, "b": 400 * 86_400}
HANG_S = 120.0
SLOW_S = 3.0


class CscRefusal(Exception):
    """An error of the specification."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status, self.error, self.description = status, error, description


def invalid(description: str) -> CscRefusal:
    """`invalid_request`."""
    return CscRefusal(400, "invalid_request", description)


@dataclass(frozen=True)
class Call:
    """One authenticated call: which CA, whose token, what was sent."""

    ca: str
    token: Token
    body: Body


Handler = Callable[[Call], Awaitable[Response]]


def routes(authority: Authority) -> list[Route]:
    """Every endpoint of both CAs and both versions."""
    csc = Csc(authority)
    handlers: dict[str, Handler] = {
        "credentials/list": csc.list_credentials,
        "credentials/info": csc.info_of_credential,
        "credentials/authorize": csc.authorize,
        "credentials/getChallenge": csc.send_otp,
        "credentials/sendOTP": csc.send_otp,
        "credentials/extendTransaction": csc.extend,
        "signatures/signHash": csc.sign_hash,
    }

    def endpoint(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                return await handler(await csc.call(request))
            except CscRefusal as refused:
                told = refusal(refused.status, refused.error, refused.description)
                if refused.status == 401:
                    told.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
                return told

        return answer

    base = "/{ca:ca}/csc/{version:version}/"
    served = [Route(base + path, endpoint(handler), methods=["POST"]) for path, handler in handlers.items()]

    async def info(request: Request) -> Response:
        return JSONResponse(service(authority, request.path_params["ca"]))

    return [Route(base + "info", info, methods=["POST", "GET"]), *served]


class Csc:
    """The endpoints."""

    def __init__(self, authority: Authority) -> None:
        self.authority = authority

    async def call(self, request: Request) -> Call:
        """The call, if its token holds and its body is an object."""
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        token = self.authority.memory.token("access", value.strip()) if scheme.lower() == "bearer" else None
        ca = request.path_params["ca"]
        if token is None or token.revoked or token.ca != ca or self.authority.now >= token.expires:
            raise CscRefusal(401, "invalid_token", "The access or refresh token is expired or has been revoked.")
        try:
            return Call(ca, token, await read_json(request))
        except BadInput as bad:
            raise CscRefusal(bad.status, "invalid_request", bad.description) from None

    def credential(self, call: Call) -> Credential:
        """The credential a call names, when its person owns it and has not withdrawn access to it."""
        name = call.body.get("credentialID")
        if not isinstance(name, str) or not name:
            raise invalid("Missing (or invalid type) string parameter credentialID.")
        found = next((c for c in self.authority.owned(call.ca, call.token.person) if c.plan.id == name), None)
        if found is None:
            raise invalid("Invalid parameter credentialID.")
        if self.authority.memory.is_withdrawn(call.token.family, name):
            raise CscRefusal(401, "invalid_token", "Access to this credential was withdrawn.")
        return found

    async def list_credentials(self, call: Call) -> Response:
        """Every credential of the token's person."""
        if "userID" in call.body:
            raise invalid("userID parameter MUST be null")
        only_valid = call.body.get("onlyValid") is True
        owned = [c for c in self.authority.owned(call.ca, call.token.person) if c.plan.enabled or not only_valid]
        told: Body = {"credentialIDs": [c.plan.id for c in owned]}
        if call.body.get("credentialInfo") is True:
            told["credentialInfos"] = [{"credentialID": c.plan.id, **described(c, call.body)} for c in owned]
        return JSONResponse(told)

    async def info_of_credential(self, call: Call) -> Response:
        """One credential."""
        return JSONResponse(described(self.credential(call), call.body))

    async def send_otp(self, call: Call) -> Response:
        """A one-time password by SMS, for the next `credentials/authorize` of this credential."""
        credential = self.enabled(call)
        scope = f"{credential.plan.id}/{call.token.family}"
        if self.authority.memory.otp_attempts(scope) >= MAX_ATTEMPTS:
            raise invalid("OTP locked")
        try:
            await self.authority.send_otp(scope)
        except SMS_FAILED:
            raise CscRefusal(503, "temporarily_unavailable", "The SMS could not be sent.") from None
        return Response(status_code=204)

    def enabled(self, call: Call) -> Credential:
        """The credential, when it can be used."""
        credential = self.credential(call)
        if not credential.plan.enabled:
            raise invalid("The credential identified by credentialID is disabled.")
        return credential

    async def authorize(self, call: Call) -> Response:
        """A SAD for numSignatures signatures: at CA A for the asking, at CA B for PIN and one-time password."""
        credential, count = self.enabled(call), call.body.get("numSignatures")
        if not isinstance(count, int) or isinstance(count, bool):
            raise invalid("Missing (or invalid type) integer parameter numSignatures.")
        if count < 1:
            raise invalid("Invalid value for parameter numSignatures.")
        if count > MULTISIGN[call.ca]:
            raise invalid("Numbers of signatures is too high.")
        if call.ca == "b":
            self.check_codes(call, credential)
        self.authority.memory.note_use(call.token.family, credential.plan.id)
        return self.sad(credential, call, count, self.authority.now + SAD_LIFE_S[call.ca])

    def sad(self, credential: Credential, call: Call, count: int, expires: float) -> Response:
        """A new SAD."""
        sad = self.authority.memory.put_sad(credential.plan.id, call.token.family, count, expires)
        return self.told(sad, expires)

    def told(self, sad: str, expires: float) -> Response:
        """The answer that carries a SAD."""
        body = {"SAD": sad, "expiresIn": round(expires - self.authority.now)}
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    def check_codes(self, call: Call, credential: Credential) -> None:
        """PIN AND OTP, as v2's authData or v1's own fields."""
        sent = call.body.get("authData") or []
        given = {item.get("id"): item.get("value") for item in sent if isinstance(item, dict)} if isinstance(sent, list) else {}
        otp, pin = (given.get(name, call.body.get(name)) for name in ("OTP", "PIN"))
        version_1 = not given
        if not isinstance(otp, str) or not isinstance(pin, str):
            raise invalid("Missing (or invalid type) authentication data: PIN and OTP are needed.")
        # The PIN first: a wrong one leaves the one-time password good for the next try.
        refused = refused_pin(self.authority, call.token.person, pin)
        refused = refused or refused_otp(self.authority, f"{credential.plan.id}/{call.token.family}", otp)
        if refused is not None:
            raise self.refusal_of(refused, version_1=version_1)

    def refusal_of(self, refused: Refused, *, version_1: bool) -> CscRefusal:
        """The error the version gives."""
        if refused.final:
            return invalid(f"{refused.what.upper()} locked" if version_1 else "Credential locked")
        if version_1:
            return CscRefusal(400, f"invalid_{refused.what}", f"The {refused.what.upper()} is invalid")
        return CscRefusal(400, "invalid_authentication_data", f"{refused.what.upper()}: {refused.reason}")

    async def extend(self, call: Call) -> Response:
        """The rest of a SAD under a new one."""
        credential, sad = self.enabled(call), self.authority.memory.sad(str(call.body.get("SAD")))
        if sad is None or sad["left"] == 0 or not self.is_of(sad, call, credential):
            raise invalid("Invalid parameter SAD")
        if self.authority.now >= sad["expires"]:
            raise invalid("SAD expired")
        # What PIN and OTP once authorised never lasts longer than they did; what is for the asking begins again.
        expires = sad["expires"] if call.ca == "b" else self.authority.now + SAD_LIFE_S[call.ca]
        return self.told(self.authority.memory.extend(call.body["SAD"], expires), expires)

    def is_of(self, sad: Body, call: Call, credential: Credential) -> bool:
        """Whether a SAD was given for this credential to the token's family."""
        return bool(sad["credential"] == credential.plan.id and sad["family"] == call.token.family)

    async def sign_hash(self, call: Call) -> Response:
        """Real signatures in the order of the hashes, journaled on the disk before they leave; or a scripted mishap."""
        mishap = self.authority.mishaps.take()
        if mishap == "error-5xx":
            raise CscRefusal(500, "server_error", "A scripted mishap.")
        if mishap == "token-revoked":
            self.authority.memory.revoke_family(call.token.family)
            raise CscRefusal(401, "invalid_token", "The access or refresh token is expired or has been revoked.")
        if mishap == "timeout":
            await self.authority.mishaps.hang(HANG_S)
            return Cut()
        if mishap == "slow":
            await asyncio.sleep(SLOW_S)
        credential = self.enabled(call)
        digests, hash_oid = self.digests(call, credential)
        self.spend(call, credential, len(digests))
        self.authority.memory.note_use(call.token.family, credential.plan.id)
        signatures = await self.signed(credential, digests, hash_oid, mishap)
        if mishap == "answer-lost":
            return Cut()
        return JSONResponse({"signatures": [base64.b64encode(s).decode() for s in signatures]})

    async def signed(self, credential: Credential, digests: list[bytes], hash_oid: str, mishap: MishapKind | None) -> list[bytes]:
        """Signs and journals. A scripted wrong key is another credential's of the same kind."""
        signer = credential
        if mishap == "wrong-key":
            same = (c for c in self.authority.credentials.values() if c.plan.kind == credential.plan.kind and c is not credential)
            signer = next(same)
        signatures = await asyncio.to_thread(signer.sign, digests, hash_oid)
        at = self.authority.at
        await self.authority.journal.add(
            [
                {
                    "at": at,
                    "credential_id": credential.plan.id,
                    "hash": base64.b64encode(digest).decode(),
                    "signature": base64.b64encode(signature).decode(),
                }
                for digest, signature in zip(digests, signatures, strict=True)
            ]
        )
        return signatures[::-1] if mishap == "wrong-order" else signatures

    def digests(self, call: Call, credential: Credential) -> tuple[list[bytes], str]:
        """The hashes and their algorithm's OID."""
        sent = call.body.get("hashes") or call.body.get("hash")
        algorithm = call.body.get("signAlgo")
        if sent == [] or sent is None:
            raise invalid("Empty hash array")
        if not isinstance(sent, list) or not all(isinstance(item, str) for item in sent) or len(sent) > HASHES_PER_CALL:
            raise invalid("Missing (or invalid type) array parameter hashes.")
        if algorithm not in credential.algorithms:
            raise invalid("Missing (or invalid type) string parameter signAlgo.")
        hash_oid = SIGN_ALGORITHMS[algorithm] or call.body.get("hashAlgorithmOID") or call.body.get("hashAlgo")
        if not isinstance(hash_oid, str) or hash_oid not in HASHES:
            raise invalid("Missing (or invalid type) string parameter hashAlgorithmOID.")
        try:
            digests = [base64.b64decode(item, validate=True) for item in sent]
        except (binascii.Error, ValueError):
            raise invalid("Invalid Base64 hash string parameter") from None
        if any(len(digest) != HASHES[hash_oid].digest_size for digest in digests):
            raise invalid("Invalid digest value length")
        return digests, hash_oid

    def spend(self, call: Call, credential: Credential, count: int) -> None:
        """Takes `count` signatures of the SAD that was sent."""
        sad = self.authority.memory.sad(str(call.body.get("SAD")))
        if sad is None or not self.is_of(sad, call, credential):
            raise invalid("Invalid parameter SAD")
        if self.authority.now >= sad["expires"]:
            raise invalid("SAD expired")
        if not self.authority.memory.spend(call.body["SAD"], count):
            raise invalid("Numbers of signatures is too high.")
