"""Clients that never tire of asking for signatures of one grant: alone and in batches, with and without an Idempotency-Key."""

import asyncio
import base64
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from uuid import uuid4

import aiohttp
from tests.promise.invariants import Made

from embedded.stack import SHA256, Json

PATIENCE = aiohttp.ClientTimeout(total=40)
TRIES = 4  # of one request with one key
AWAY = (aiohttp.ClientError, TimeoutError, OSError)


@dataclass
class Demand:
    """What was asked for and received of one grant epoch. `end` ends it."""

    certificate_id: str
    client_service: Json
    sign_algorithm: str
    batch: int
    gateways: Sequence[str]
    random: Random
    asked: set[str] = field(default_factory=set)
    received: list[Made] = field(default_factory=list)
    repeats: list[tuple[str, str]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    running: list[asyncio.Task[None]] = field(default_factory=list)

    def begin(self, clients: int = 4) -> None:
        """So many clients begin to ask."""
        self.running = [asyncio.create_task(self._client()) for _ in range(clients)]

    async def end(self) -> None:
        """What is under way is awaited."""
        self.ended.set()
        await asyncio.gather(*self.running)

    async def _client(self) -> None:
        async with aiohttp.ClientSession(timeout=PATIENCE) as session:
            tokens: dict[str, str] = {}
            batch = self.batch
            await asyncio.sleep(self.random.uniform(0, 2))
            while not self.ended.is_set():
                key = str(uuid4()) if self.random.random() < 0.5 else None
                status = await self._request(session, tokens, self._hashes(batch), key)
                batch = self.batch if status == 200 else max(1, batch // 2)
                await asyncio.sleep(0.02 if status == 200 else self.random.uniform(0.1, 0.6))

    def _hashes(self, count: int) -> list[str]:
        made = [base64.b64encode(hashlib.sha256(uuid4().bytes).digest()).decode() for _ in range(count)]
        self.asked.update(made)
        return made

    async def _request(self, session: aiohttp.ClientSession, tokens: dict[str, str], hashes: list[str], key: str | None) -> int:
        """One request, again and again with its key while its outcome is open; the last status, 0 where nobody answered."""
        status = 0
        for _ in range(TRIES if key else 1):
            status, signatures, _ = await self._sent(session, tokens, hashes, key)
            if status == 200:
                self.received += zip(hashes, signatures, strict=True)
                if key and self.random.random() < 0.25:
                    await self._asks_again(session, tokens, hashes, key, signatures)
                return status
            if status not in {0, 409, 503} or self.ended.is_set():
                return status
            await asyncio.sleep(0.3)
        return status

    async def _asks_again(
        self, session: aiohttp.ClientSession, tokens: dict[str, str], hashes: list[str], key: str, first: list[str]
    ) -> None:
        status, again, replayed = await self._sent(session, tokens, hashes, key)
        if status == 200 and (again != first or not replayed):
            self.repeats.append((key, "signed anew" if again == first else "other signatures than the first time"))

    async def _sent(
        self, session: aiohttp.ClientSession, tokens: dict[str, str], hashes: list[str], key: str | None
    ) -> tuple[int, list[str], bool]:
        gateway = self.random.choice(self.gateways)
        body = {
            "credentialID": self.certificate_id,
            "hashes": hashes,
            "hashAlgorithmOID": SHA256,
            "signAlgo": self.sign_algorithm,
        }
        with suppress(*AWAY):
            if gateway not in tokens:
                tokens[gateway] = await self._token(session, gateway)
            headers = {"Authorization": f"Bearer {tokens[gateway]}"} | ({"Idempotency-Key": key} if key else {})
            async with session.post(f"{gateway}/csc/v2/signatures/signHash", json=body, headers=headers) as answer:
                if answer.status == 401:
                    tokens.pop(gateway, None)
                told = await answer.json(content_type=None)
                if answer.status != 200:
                    self.refusals.append(f"{answer.status} {told.get('error')}: {told.get('error_description')}")
                replayed = answer.headers.get("Idempotent-Replayed") == "true"
                return answer.status, told.get("signatures", []), replayed
        return 0, [], False

    async def _token(self, session: aiohttp.ClientSession, gateway: str) -> str:
        basic = aiohttp.encode_basic_auth(self.client_service["client_id"], self.client_service["client_secret"])
        form = {"grant_type": "client_credentials"}
        async with session.post(f"{gateway}/oauth2/token", data=form, headers={"Authorization": basic}) as answer:
            answer.raise_for_status()
            return str((await answer.json())["access_token"])
