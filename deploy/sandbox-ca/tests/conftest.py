"""The sandbox CA as its own process on a clock that a test can move, an SMS in-tray, and a person with a browser."""

import base64
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import aiohttp
import pytest
from aiohttp import web

PROGRAM = """
import sys
from datetime import timedelta
from pathlib import Path
from sandbox_ca.__main__ import host_clock, main
main(clock=lambda: host_clock() + timedelta(seconds=float(Path(sys.argv[1]).read_text())))
"""
REDIRECT = "http://127.0.0.1:9/ca/callback"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
SECRETS = {"client_secret": "client-secret", "user_password": "demo-password", "user_pin": "4711", "sms_token": "sms-secret"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """The process; its folder keeps its state over `stop` and `start`."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.sms_port = folder, free_port(), free_port()
        self.url = f"http://localhost:{self.port}"
        self.clock = folder / "clock"
        self.clock.write_text("0")
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        environment = {
            **os.environ,
            "LISTEN_PORT": str(self.port),
            "PUBLIC_URL": self.url,
            "STATE_DIR": str(self.folder / "state"),
            "SMS_URL": f"http://127.0.0.1:{self.sms_port}/api/sms",
            "CLIENT_REDIRECT_URI": REDIRECT,
            "SECRETS_DIR": str(self.folder / "secrets"),
        }
        self.process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(self.clock)], env=environment)
        for _ in range(300):
            assert self.process.poll() is None, "the sandbox CA ended"
            try:
                with urlopen(f"{self.url}/healthz", timeout=1):
                    return
            except OSError:
                time.sleep(0.1)
        pytest.fail("the sandbox CA did not start within 30 s")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(15)
            self.process = None


class World:
    """The platform and the person in front of a running CA."""

    def __init__(self, running: Running, session: aiohttp.ClientSession, sms: list[str]) -> None:
        self.running, self.session, self.sms = running, session, sms
        self.sms_is_down = False

    def otp(self) -> str:
        (found,) = re.findall(r"(?<!\d)\d{6}(?!\d)", self.sms[-1])
        return found

    def move(self, seconds: float) -> None:
        self.running.clock.write_text(str(float(self.running.clock.read_text()) + seconds))

    async def send(self, path, data=None, json=None, token=None, method="POST"):
        """(status, Location or JSON or text)."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = self.running.url + path
        async with self.session.request(method, url, data=data, json=json, headers=headers, allow_redirects=False) as answer:
            if "Location" in answer.headers:
                query = parse_qs(urlsplit(answer.headers["Location"]).query)
                return answer.status, {name: values[0] for name, values in query.items()}
            kind = answer.content_type
            return answer.status, await answer.json() if kind == "application/json" else await answer.text()

    async def open(self, ca, **changed):
        """GET of the authorisation endpoint."""
        asked = {"response_type": "code", "client_id": "sinete", "redirect_uri": REDIRECT, "scope": "service", "state": "s1"}
        asked |= {"code_challenge": CHALLENGE, "code_challenge_method": "S256"} | changed
        query = "&".join(f"{name}={value}" for name, value in asked.items())
        return await self.send(f"/{ca}/oauth2/authorize?{query}", method="GET")

    async def submit(self, ca, page, action="allow", **typed):
        """Posts the page's form."""
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
        return await self.send(f"/{ca}/oauth2/walk", hidden | typed | {"action": action})

    async def logged_in(self, ca, person="maria.silva"):
        """The consent page."""
        _, page = await self.open(ca)
        return (await self.submit(ca, page, username=person, password="demo-password"))[1]

    async def at_codes(self):
        """CA A's page that asks for codes."""
        return (await self.submit("a", await self.logged_in("a")))[1]

    async def code(self, ca, person="maria.silva"):
        """An authorisation code."""
        _, told = await self.submit(ca, await self.logged_in(ca, person))
        if ca == "a":
            _, told = await self.submit("a", told, otp=self.otp(), pin="4711")
        return told["code"]

    async def token(self, ca, **form):
        """POST of the token endpoint."""
        return await self.send(f"/{ca}/oauth2/token", {"client_id": "sinete", "client_secret": "client-secret"} | form)

    async def by_code(self, ca, code, **changed):
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "code_verifier": VERIFIER}
        return await self.token(ca, **(form | changed))

    async def by_refresh(self, ca, refresh_token):
        return await self.token(ca, grant_type="refresh_token", refresh_token=refresh_token)

    async def tokens(self, ca, person="maria.silva"):
        """What a whole walk gives."""
        status, told = await self.by_code(ca, await self.code(ca, person))
        assert status == 200, told
        return told

    async def csc(self, ca, path, token, version="v2", **body):
        return await self.send(f"/{ca}/csc/{version}/{path}", json=body, token=token)

    async def sad(self, token, credential="A-SEAL-1", count=1_000):
        status, told = await self.csc("a", "credentials/authorize", token, credentialID=credential, numSignatures=count)
        assert status == 200, told
        return told["SAD"]

    async def sign(self, token, sad, digests, credential="A-SEAL-1", algorithm="1.2.840.113549.1.1.11", **more):
        hashes = [base64.b64encode(digest).decode() for digest in digests]
        body = {"credentialID": credential, "SAD": sad, "hashes": hashes, "signAlgo": algorithm} | more
        return await self.csc(credential[0].lower(), "signatures/signHash", token, **body)

    async def journal(self, credential="A-SEAL-1"):
        _, told = await self.send(f"/sandbox/journal?credential_id={credential}", method="GET")
        assert told["total"] == len(told["items"])
        return told["items"]


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sandbox-ca")
    secrets = folder / "secrets"
    secrets.mkdir()
    for name, value in SECRETS.items():
        (secrets / name).write_text(value + "\n")
    process = Running(folder)
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def world(running):
    sms: list[str] = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        made = World(running, session, sms)

        async def take(request: web.Request) -> web.Response:
            if made.sms_is_down:
                return web.Response(status=503)
            assert request.headers["Authorization"] == "Bearer sms-secret"
            sms.append((await request.json())["text"])
            return web.Response(status=201)

        app = web.Application()
        app.router.add_post("/api/sms", take)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", running.sms_port).start()
        await made.send("/sandbox/mishaps", method="DELETE")
        await made.send("/sandbox/unlock")
        yield made
        await runner.cleanup()
