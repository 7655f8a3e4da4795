"""A small certificate authority with odd moods, as a real server: OAuth2 with rotation, and CSC v2."""

import asyncio
import json
import secrets
import socket
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import parse_qsl, urlsplit

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

CALLBACK = "http://127.0.0.1:7400/ca/callback"
CLIENT_SECRET = "canary-client-secret"


def a_chain(*, person=False, authority=False, key=None, until=datetime(2035, 1, 1, tzinfo=UTC), serial=0xABC):
    """One self-signed certificate as base64 DER, of a new P-256 key unless one is given."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Exemplo, Lda"), x509.NameAttribute(NameOID.COMMON_NAME, "Exemplo")]
    if person:
        names += [x509.NameAttribute(NameOID.GIVEN_NAME, "Ana"), x509.NameAttribute(NameOID.SURNAME, "Sousa")]
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(names))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Fake CA")]))
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(datetime(2025, 1, 1, tzinfo=UTC))
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return [b64encode(made.public_bytes(serialization.Encoding.DER)).decode()]


@dataclass
class Held:
    """One credential at the fake CA."""

    chain: list[str]
    enabled: bool = True


@dataclass
class FakeCa:
    """`moods[endpoint]` are answers given, one per call, before the honest ones: a status, or (status, body[, headers]).

    A signHash for a credential of `held_back` waits for its event; a hash of `disliked` is refused, and all that came with it.
    """

    port: int
    explicit: bool = False  # a SAD needs OTP and PIN
    issuer: str = ""
    multisign: int = 3
    credentials: dict[str, Held] = field(default_factory=dict)
    journal: list[str] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    bodies: dict[str, list[object]] = field(default_factory=lambda: defaultdict(list))
    moods: dict[str, list[object]] = field(default_factory=lambda: defaultdict(list))
    metadata: dict[str, object] = field(default_factory=dict)
    expires_in: int = 3_600
    codes: dict[str, str] = field(default_factory=dict)  # code: PKCE challenge
    access: set[str] = field(default_factory=set)
    refresh: set[str] = field(default_factory=set)
    revoked: list[str] = field(default_factory=list)
    withdrawn: set[str] = field(default_factory=set)
    sads: dict[str, int] = field(default_factory=dict)
    otp: str = "000000"
    pin: str = "4711"
    compared: int = 0
    held_back: dict[str, asyncio.Event] = field(default_factory=dict)
    disliked: set[str] = field(default_factory=set)

    def __post_init__(self):
        self.issuer = self.issuer or f"http://127.0.0.1:{self.port}/ca"

    def consent(self, url, **changes):
        """What the CA's redirect brings back after a person agreed at `url`."""
        asked = dict(parse_qsl(urlsplit(url).query))
        assert (asked["redirect_uri"], asked["code_challenge_method"], asked["scope"]) == (CALLBACK, "S256", "service")
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked["code_challenge"]
        return {"state": asked["state"], "code": code, "iss": self.issuer, **changes}

    def withdraw_everything(self):
        self.access.clear()
        self.refresh.clear()

    def tokens(self):
        access, refresh = f"canary-access-{secrets.token_hex(8)}", f"canary-refresh-{secrets.token_hex(8)}"
        self.access.add(access)
        self.refresh.add(refresh)
        return {"access_token": access, "refresh_token": refresh, "token_type": "Bearer", "expires_in": self.expires_in}

    @property
    def asked(self):
        """How many hashes each signHash had, those included that are held back."""
        return [len(body["hashes"]) for body in self.bodies["signatures/signHash"]]

    async def answer(self, request):
        path = request.match_info["path"]
        self.calls[path] += 1
        mood = self.moods[path].pop(0) if self.moods[path] else None
        if mood == "hang":
            await asyncio.sleep(60)
        if mood == "cut":
            request.transport.close()
            return web.Response()
        if isinstance(mood, int):
            return web.Response(status=mood, text="<html>")
        if mood is not None:
            return web.json_response(mood[1], status=mood[0], headers=mood[2] if len(mood) > 2 else None)
        if path.startswith("csc/v2/"):
            return await self.csc(path.removeprefix("csc/v2/"), request)
        return await self.oauth(path, request)

    async def oauth(self, path, request):
        base = f"http://127.0.0.1:{self.port}/ca"
        if "well-known" in path:
            told = {"issuer": self.issuer, "authorization_response_iss_parameter_supported": True}
            for name in ("authorization", "token", "revocation"):
                told[f"{name}_endpoint"] = f"{base}/oauth2/{name}"
            return web.json_response({**told, **self.metadata})
        form = dict(await request.post())
        self.bodies[path].append(form)
        if request.headers.get("Authorization") != "Basic " + b64encode(f"sinete:{CLIENT_SECRET}".encode()).decode():
            return web.json_response({"error": "invalid_client"}, status=401)
        if path == "oauth2/revocation":
            self.revoked.append(form["token"])
            self.refresh.discard(form["token"])
            return web.Response()
        if form["grant_type"] == "refresh_token" and form["refresh_token"] in self.refresh:
            self.refresh.discard(form["refresh_token"])
            return web.json_response(self.tokens())
        proof = urlsafe_b64encode(sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=").decode()
        if form.get("code") in self.codes and self.codes.pop(form["code"]) == proof and form["redirect_uri"] == CALLBACK:
            return web.json_response(self.tokens())
        return web.json_response({"error": "invalid_grant"}, status=400)

    async def csc(self, path, request):
        if request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.access:
            return web.json_response({"error": "invalid_token"}, status=401)
        body = await request.json()
        self.bodies[path].append(body)
        if path == "credentials/list":
            return web.json_response({"credentialIDs": list(self.credentials)})
        held = self.credentials.get(body.get("credentialID"))
        if held is None:
            return refusal("invalid_request", "Invalid parameter credentialID")
        if body["credentialID"] in self.withdrawn:
            return web.json_response({"error": "invalid_token"}, status=401)
        if path == "signatures/signHash" and body["credentialID"] in self.held_back:
            await self.held_back[body["credentialID"]].wait()
        return getattr(self, "on_" + path.rpartition("/")[2])(body, held)

    def on_info(self, body, held):
        objects = [{"type": "Password", "id": "PIN"}, {"type": "ChallengeResponseOOB", "id": "OTP"}] if self.explicit else []
        return web.json_response(
            {
                "key": {"status": "enabled" if held.enabled else "disabled", "algo": ["1.2.840.10045.4.3.2"], "len": 256},
                "cert": {"status": "valid", "certificates": held.chain},
                "auth": {"mode": "explicit", "expression": "PIN AND OTP" if objects else "", "objects": objects},
                "SCAL": "1",
                "multisign": self.multisign,
            }
        )

    def on_getChallenge(self, body, held):  # noqa: N802 - the endpoint's name
        self.otp = f"{secrets.randbelow(10**6):06}"
        return web.Response(status=204)

    def on_authorize(self, body, held):
        if not held.enabled:
            return refusal("invalid_request", "The credential identified by credentialID is disabled")
        if self.explicit:
            self.compared += 1
            given = {each["id"]: each["value"] for each in body.get("authData", [])}
            if given.get("OTP") != self.otp:
                return refusal("invalid_authentication_data", "OTP: The OTP is invalid")
            if given.get("PIN") != self.pin:
                return refusal("invalid_authentication_data", "PIN: The PIN is invalid")
        sad = f"canary-sad-{secrets.token_hex(8)}"
        self.sads[sad] = body["numSignatures"]
        return web.json_response({"SAD": sad, "expiresIn": 400 * 86_400 if self.explicit else 3_600})

    def on_extendTransaction(self, body, held):  # noqa: N802 - the endpoint's name
        sad = f"canary-sad-{secrets.token_hex(8)}"
        self.sads[sad] = self.sads.pop(body["SAD"])
        return web.json_response({"SAD": sad, "expiresIn": 3_600})

    def on_signHash(self, body, held):  # noqa: N802 - the endpoint's name
        if self.sads.get(body.get("SAD"), 0) < len(body["hashes"]):
            return refusal("invalid_request", "Invalid parameter SAD")
        if self.disliked & {*body["hashes"]}:
            return refusal("invalid_request", "Invalid digest value length")
        self.sads[body["SAD"]] -= len(body["hashes"])
        self.journal += body["hashes"]
        return web.json_response({"signatures": [b64encode(b"signed " + b64decode(h)).decode() for h in body["hashes"]]})


def refusal(error, description):
    return web.Response(
        status=400, text=json.dumps({"error": error, "error_description": description}), content_type="application/json"
    )


@pytest.fixture
async def ca():
    """A fake CA with the credentials SEAL-1, SEAL-2 and one that is switched off."""
    listening = socket.create_server(("127.0.0.1", 0))
    fake = FakeCa(listening.getsockname()[1])
    for name, enabled in (("SEAL-1", True), ("SEAL-2", True), ("SEAL-OFF", False)):
        fake.credentials[name] = Held(a_chain(), enabled)
    app = web.Application()
    app.router.add_route("*", "/ca/{path:.*}", fake.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, listening).start()
    yield fake
    await runner.cleanup()


@pytest.fixture
def make_chain():
    """The builder of certificates: `make_chain(person=True)`."""
    return a_chain


@pytest.fixture
def unused_port():
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        return held.getsockname()[1]
