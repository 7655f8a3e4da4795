"""The CSC client, v2.0.0.2 and v1.0.4 by the profile's dialect. It says plainly what became of each call."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from ca_connector.outbound import Answer, CaAnswerUnknown, CaNotReached, Json, Outbound

Asks = list[Literal["otp", "pin"]]
MAX_LISTED = 50
DEFAULT_PAUSE_S = 1.0  # after a 429 that names none


class TokenRefused(Exception):
    """401: the access token does not hold. Nothing was done."""


class CaBusy(CaNotReached):
    """429: the CA took nothing and asks for a pause of `seconds` (RFC 6585 §4; CSC v2 §10.1 lists it among the errors)."""

    def __init__(self, seconds: float) -> None:
        super().__init__("the CA asks for a pause (429)")
        self.seconds = seconds


class CscRefused(Exception):
    """The CA refused by an error of the specification: nothing was done. `error` is its word, `detail` its sentence."""

    def __init__(self, error: str, detail: str) -> None:
        super().__init__(f"{error}: {detail}")
        self.error, self.detail = error, detail


class CodesRefused(CscRefused):
    """The OTP or the PIN was refused: which, and whether for good."""

    def __init__(self, error: str, detail: str, *, which: Literal["otp", "pin", "codes"], late: bool, locked: bool) -> None:
        super().__init__(error, detail)
        self.which, self.late, self.locked = which, late, locked


@dataclass(frozen=True)
class Described:
    """A credential as `credentials/info` describes it."""

    credential_id: str
    enabled: bool
    chain: list[str]  # base64 DER, end entity first
    multisign: int
    asks: Asks
    otp_object: str
    pin_object: str


@dataclass(frozen=True)
class Sad:
    """Signature activation data, for `count` signatures, good for `expires_in` seconds."""

    value: str = field(repr=False)
    count: int
    expires_in: int


class Csc:
    """The calls at one CA: `base` ends in /csc/v2 or /csc/v1."""

    def __init__(self, outbound: Outbound, base: str, dialect: Literal["csc-v2", "csc-v1"]) -> None:
        self._outbound, self._base, self._v1 = outbound, base, dialect == "csc-v1"

    async def _call(self, path: str, token: str, body: Json, until: float = math.inf) -> Answer:
        """What the CA answered once it did as asked. Raises TokenRefused, CaBusy, CscRefused or CaAnswerUnknown."""
        answer = await self._outbound.json(f"{self._base}/{path}", body, token, until)
        if answer.status == 401:
            raise TokenRefused(answer.error or "401")
        if answer.status == 429 and (answer.retry_after is not None or answer.error):
            raise CaBusy(DEFAULT_PAUSE_S if answer.retry_after is None else answer.retry_after)
        if 400 <= answer.status < 500 and answer.status != 429 and answer.error:
            raise CscRefused(answer.error, answer.description)
        if answer.status not in {200, 201, 204}:
            raise CaAnswerUnknown(f"the CA answered {answer.status}")
        return answer

    async def credential_ids(self, token: str) -> list[str]:
        """Every credential of the account, at most fifty."""
        found: list[str] = []
        page: str | None = None
        for _ in range(MAX_LISTED):
            answer = await self._call("credentials/list", token, {"pageToken": page} if page else {})
            ids = answer.body.get("credentialIDs")
            if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
                raise CaAnswerUnknown("credentials/list answered no credentialIDs")
            found += ids
            page = answer.body.get("nextPageToken")
            if not isinstance(page, str) or not page or len(found) >= MAX_LISTED:
                break
        return found[:MAX_LISTED]

    async def describe(self, token: str, credential_id: str) -> Described:
        """`credentials/info` with the chain."""
        asked = {"credentialID": credential_id, "certificates": "chain", "certInfo": True, "authInfo": True}
        body = (await self._call("credentials/info", token, asked)).body
        key, cert = _object(body, "key"), _object(body, "cert")
        chain = cert.get("certificates")
        if not isinstance(chain, list) or not chain or not all(isinstance(each, str) for each in chain):
            raise CaAnswerUnknown("credentials/info answered no certificate")
        multisign = body.get("multisign", 1)
        asks, otp, pin = self._asks(body)
        return Described(
            credential_id,
            enabled=key.get("status", "enabled") == "enabled" and cert.get("status", "valid") == "valid",
            chain=chain,
            multisign=multisign if isinstance(multisign, int) and multisign > 1 else 1,
            asks=asks,
            otp_object=otp,
            pin_object=pin,
        )

    def _asks(self, body: Json) -> tuple[Asks, str, str]:
        """Which codes authorise a SAD, and the names of their auth objects in v2."""
        if self._v1:
            wanted: Asks = []
            if _object(body, "OTP").get("presence") == "true":
                wanted.append("otp")
            if _object(body, "PIN").get("presence") == "true":
                wanted.append("pin")
            return wanted, "OTP", "PIN"
        listed = _object(body, "auth").get("objects")
        objects = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
        otp = next((str(o.get("id")) for o in objects if str(o.get("type")).startswith("ChallengeResponse")), "")
        pin = next((str(o.get("id")) for o in objects if str(o.get("type")) == "Password"), "")
        asks: Asks = ["otp"] if otp else []
        return [*asks, "pin"] if pin else asks, otp, pin

    async def challenge(self, token: str, described: Described) -> None:
        """Has the CA send a one-time password."""
        path = "credentials/sendOTP" if self._v1 else "credentials/getChallenge"
        named = {} if self._v1 else {"authObjectID": described.otp_object}
        await self._call(path, token, {"credentialID": described.credential_id, **named})

    async def authorize(
        self, token: str, described: Described, count: int, *, otp: str | None = None, pin: str | None = None
    ) -> Sad:
        """A SAD over `count` signatures, with the codes where the CA asks for them. Raises CodesRefused for those."""
        body: Json = {"credentialID": described.credential_id, "numSignatures": count}
        if self._v1:
            body |= {name: value for name, value in (("OTP", otp), ("PIN", pin)) if value is not None}
        elif otp is not None or pin is not None:
            pairs = ((described.otp_object, otp), (described.pin_object, pin))
            body["authData"] = [{"id": name, "value": value} for name, value in pairs if value is not None]
        try:
            answer = (await self._call("credentials/authorize", token, body)).body
        except CscRefused as refused:
            raise _of_codes(refused) or refused from None
        return _sad(answer, count)

    async def activate(self, token: str, credential_id: str, count: int) -> Sad:
        """A SAD over `count` signatures at a CA that gives it for the asking."""
        body: Json = {"credentialID": credential_id, "numSignatures": count}
        return _sad((await self._call("credentials/authorize", token, body)).body, count)

    async def extend(self, token: str, credential_id: str, sad: str, left: int) -> Sad:
        """The rest of a SAD that is about to end, `left` signatures, under a new one. The old one is spent by it."""
        answer = await self._call("credentials/extendTransaction", token, {"credentialID": credential_id, "SAD": sad})
        return _sad(answer.body, left)

    async def sign(self, token: str, sad: str, credential_id: str, asked: "Hashes", until: float = math.inf) -> list[str]:
        """One `signatures/signHash`: as many signatures as hashes, in their order, or CaAnswerUnknown.

        Raises TooLate, with nothing sent, where it could not be begun before the boot time `until`.
        """
        hashes, algorithm = ("hash", "hashAlgo") if self._v1 else ("hashes", "hashAlgorithmOID")
        body: Json = {
            "credentialID": credential_id,
            "SAD": sad,
            "signAlgo": asked.sign_algorithm,
            hashes: asked.hashes,
            algorithm: asked.hash_algorithm,
        }
        if asked.params:
            body["signAlgoParams"] = asked.params
        made = (await self._call("signatures/signHash", token, body, until)).body.get("signatures")
        if not isinstance(made, list) or len(made) != len(asked.hashes) or {*map(type, made)} != {str}:
            raise CaAnswerUnknown("signHash answered another number of signatures than hashes")
        return made


class Hashes(msgspec.Struct, frozen=True):
    """What is to be signed in one call: base64 digests and the OIDs."""

    hashes: list[str]
    hash_algorithm: str
    sign_algorithm: str
    params: str | None = None


def _object(body: Json, name: str) -> dict[str, Any]:
    value = body.get(name)
    return value if isinstance(value, dict) else {}


def _sad(answer: Json, count: int) -> Sad:
    sad, lives = answer.get("SAD"), answer.get("expiresIn", 3_600)
    if not isinstance(sad, str) or not isinstance(lives, int):
        raise CaAnswerUnknown("the CA answered no SAD")
    return Sad(sad, count, lives)


def _of_codes(refused: CscRefused) -> CodesRefused | None:
    """The refusal as one of the codes, by the words of either version; None when it is about something else."""
    error, said = refused.error.lower(), refused.detail.lower()
    locked = "locked" in said
    if not locked and error not in {"invalid_otp", "invalid_pin", "invalid_authentication_data"}:
        return None
    which: Literal["otp", "pin", "codes"] = "codes"
    if "otp" in error or said.startswith("otp"):
        which = "otp"
    elif "pin" in error or said.startswith("pin"):
        which = "pin"
    late = "expired" in said or "no longer valid" in said
    return CodesRefused(refused.error, refused.detail, which=which, late=late, locked=locked)
