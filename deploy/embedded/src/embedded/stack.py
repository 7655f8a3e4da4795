"""A running stack from outside, for tests and scripts: the command, the API, the gateway, the mailbox, the CA's journal.

Every wait is bounded. A failed command raises CommandFailed with what it printed.
"""
# ruff: noqa: D102, D103 - each name says what a person does

import asyncio
import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from embedded.platform_api import PlatformApi, until
from embedded.walk import CaUser

Json = dict[str, Any]
SINETE = Path(sys.executable).parent / "sinete"
COMMAND_S = 300
"""Seconds a command may take: a whole stack starts within them on a machine that has much else to do."""
SHA256, RSA_SHA256 = "2.16.840.1.101.3.4.2.1", "1.2.840.113549.1.1.11"
ALIVE = ("certificate-registry", "signing-gateway", "grant-monitor", "notifier", "ca-connector")


def some_hashes(count: int, seed: str = "") -> list[str]:
    return [base64.b64encode(hashlib.sha256(f"{seed}{n}".encode()).digest()).decode() for n in range(count)]


class CommandFailed(Exception):
    """A `sinete` command ended with another status than 0."""


class Stack:
    """One running stack. `status` is read afresh where it can have changed."""

    def __init__(self, state: Path, port_base: int) -> None:
        self.state, self.port_base = state, port_base

    def sinete(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        told = subprocess.run(
            [str(SINETE), *args, "--state", str(self.state)],
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if check and told.returncode:
            raise CommandFailed(f"sinete {' '.join(args)} ended with {told.returncode}:\n{told.stdout}\n{told.stderr}")
        return told

    def up(self) -> None:
        self.sinete("up", "--detach", "--port-base", str(self.port_base))

    def down(self) -> None:
        self.sinete("down")

    @property
    def status(self) -> Json:
        return dict(json.loads(self.sinete("status", "--json").stdout))

    @property
    def now(self) -> datetime:
        return datetime.fromisoformat(self.status["clock"]["now"])

    def clock(self, *args: str) -> None:
        self.sinete("clock", *args)

    def clock_to(self, at: datetime) -> None:
        self.clock("--set", at.astimezone(UTC).isoformat().replace("+00:00", "Z"))

    def pid(self, service: str) -> int:
        return int(self.status["services"][service]["pid"])

    def signal(self, service: str, number: signal.Signals) -> int:
        pid = self.pid(service)
        os.kill(pid, number)
        return pid

    async def healthy(self, within_s: float = 60) -> None:
        async def all_ok() -> bool:
            services = self.status["services"]
            return all(services[name]["health"] == "ok" for name in ALIVE)

        await until(all_ok, what="every service healthy", within_s=within_s, every_s=0.3)

    def url(self, service: str) -> str:
        return str(self.status["services"][service]["url"])

    @property
    def issuer(self) -> PlatformApi:
        return PlatformApi(self.url("certificate-registry"), self.demo["operator_api_token"])

    @property
    def administrator(self) -> PlatformApi:
        return PlatformApi(self.url("certificate-registry"), self.demo["administrator_api_token"])

    @property
    def demo(self) -> Json:
        return dict(self.status["demo"])

    @property
    def ca_user(self) -> CaUser:
        return CaUser(**self.demo["ca_user"])

    async def mails(self, to: str | None = None) -> list[Json]:
        return await self._mailbox("messages", to)

    async def sms(self) -> list[Json]:
        return await self._mailbox("sms", None)

    async def _mailbox(self, kind: str, to: str | None) -> list[Json]:
        url = f"{self.status['mailbox']['url']}/api/{kind}"
        async with aiohttp.ClientSession() as session, session.get(url, params={"to": to} if to else {}) as answer:
            return list(await answer.json())

    async def journal(self, credential_id: str) -> list[Json]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.status['sandbox_ca']['url']}/sandbox/journal") as answer,
        ):
            return [item for item in (await answer.json())["items"] if item["credential_id"] == credential_id]

    async def at_ca(self, method: str, path: str, body: Json | None = None) -> None:
        url = f"{self.status['sandbox_ca']['url']}/sandbox/{path}"
        async with aiohttp.ClientSession() as session, session.request(method, url, json=body) as answer:
            answer.raise_for_status()

    async def access(self, certificate_id: str) -> Json:
        return dict((await self.issuer.get(f"certificates/{certificate_id}"))["ca_access"])

    async def used(self, certificate_id: str) -> int:
        return int((await self.access(certificate_id))["used"])

    async def used_becomes(self, certificate_id: str, count: int, *, within_s: float = 10) -> None:
        async def counted() -> bool:
            return await self.used(certificate_id) == count

        await until(counted, what=f"used = {count}", within_s=within_s)


class SigningRefused(Exception):
    """The gateway refused for good, or for longer than was waited: status and body."""


class Client:
    """A client service: logs in once, then signs."""

    def __init__(self, gateway: str, client_service: Json) -> None:
        self.gateway, self.credentials, self.token = gateway, client_service, ""

    async def log_in(self) -> None:
        basic = aiohttp.encode_basic_auth(self.credentials["client_id"], self.credentials["client_secret"])
        form = {"grant_type": "client_credentials"}
        async with (
            aiohttp.ClientSession(headers={"Authorization": basic}) as session,
            session.post(f"{self.gateway}/oauth2/token", data=form) as answer,
        ):
            answer.raise_for_status()
            self.token = (await answer.json())["access_token"]

    async def call(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> tuple[int, Json, dict[str, str]]:
        if not self.token:
            await self.log_in()
        headers = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        async with (
            aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=40)) as session,
            session.post(f"{self.gateway}/csc/v2/{path}", json=body) as answer,
        ):
            return answer.status, await answer.json(content_type=None), dict(answer.headers)

    async def sign(
        self, credential_id: str, hashes: list[str], headers: Mapping[str, str] | None = None, **members: Any
    ) -> tuple[int, Json, dict[str, str]]:
        body = {"credentialID": credential_id, "hashes": hashes, "hashAlgorithmOID": SHA256, "signAlgo": RSA_SHA256, **members}
        return await self.call("signatures/signHash", body, headers)

    async def sign_at_last(self, credential_id: str, hashes: list[str], within_s: float = 30) -> list[str]:
        """The signatures, after as many 503s as it takes within the bound, as a client that honours Retry-After gets them."""
        end = asyncio.get_running_loop().time() + within_s
        while True:
            try:
                status, body, _ = await self.sign(credential_id, hashes)
            except aiohttp.ClientConnectionError as fault:
                status, body = 503, {"fault": repr(fault)}
            except aiohttp.ClientResponseError as fault:  # at the log-in
                status, body = fault.status, {"fault": fault.message}
            if status == 200:
                return list(body["signatures"])
            if status != 503 or asyncio.get_running_loop().time() > end:
                raise SigningRefused(status, body)
            await asyncio.sleep(0.5)


def demo_client(stack: Stack) -> Client:
    return Client(stack.url("signing-gateway"), stack.demo["client_service"])
