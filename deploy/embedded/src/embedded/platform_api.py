"""The registry's operators' API as a small client: what the seeding and the tests say to it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

Json = dict[str, Any]


class ApiRefused(Exception):
    """The API refused: status and problem."""

    def __init__(self, status: int, problem: Json) -> None:
        super().__init__(f"{status} {problem.get('type')}: {problem.get('detail')}")
        self.status, self.problem = status, problem


class PlatformApi:
    """Calls `/api/v1` with one operator's token. Paths are relative, as "certificates"."""

    def __init__(self, registry_url: str, token: str) -> None:
        self._base = f"{registry_url}/api/v1/"
        self._headers = {"Authorization": f"Bearer {token}"}

    async def call(self, method: str, path: str, body: Json | None = None) -> Json:
        """The answer's JSON ({} where there is none). Raises ApiRefused from 400 on."""
        timeout = aiohttp.ClientTimeout(total=30)
        async with (
            aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session,
            session.request(method, self._base + path, json=body) as answer,
        ):
            content = await answer.json(content_type=None) if answer.content_type.endswith("json") else {}
            if answer.status >= 400:
                raise ApiRefused(answer.status, content)
            return content or {}

    async def get(self, path: str) -> Json:
        """`GET path`."""
        return await self.call("GET", path)

    async def post(self, path: str, body: Json | None = None) -> Json:
        """`POST path`."""
        return await self.call("POST", path, body)

    async def patch(self, path: str, body: Json) -> Json:
        """`PATCH path`."""
        return await self.call("PATCH", path, body)


async def until(told: Callable[[], Awaitable[Any]], *, what: str, within_s: float = 30, every_s: float = 0.1) -> Any:
    """The first true answer of `told`; TimeoutError naming `what` after `within_s` seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + within_s
    while loop.time() < end:
        if answer := await told():
            return answer
        await asyncio.sleep(every_s)
    raise TimeoutError(f"{what}: not within {within_s} s")
