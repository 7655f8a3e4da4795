"""Three gateways and two monitors: the running stack's own, and more beside them that are started again whenever they die."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import aiohttp
import psutil  # type: ignore[import-untyped]  # it ships no types

from embedded import plan
from embedded.platform_api import until
from embedded.ports import Ports
from embedded.stack import Json, Stack
from embedded.state import State

AGAIN_S = 0.5
GRACE_S = 15
HEALTHY_WITHIN_S = 180


@dataclass
class Beside:
    """One more instance of a service, on ports of its own."""

    name: str
    service: str
    shift: int  # of its ports from the first instance's
    settings: dict[str, str]
    process: subprocess.Popen[bytes] | None = None


@dataclass
class Fleet:
    """Use it as `async with`. Parts are named as in `parts`."""

    stack: Stack
    beside: list[Beside] = field(default_factory=list)
    keeping: list[asyncio.Task[None]] = field(default_factory=list)
    status: Json = field(default_factory=dict)

    async def __aenter__(self) -> Self:
        self.status = await self.look()
        ports = Ports(self.stack.port_base)
        second = {"GRANT_MONITOR_URL": f"http://127.0.0.1:{ports.of('grant-monitor') + 40}"}
        self.beside = [
            Beside("grant-monitor 2", "grant-monitor", 40, {}),
            Beside("signing-gateway 2", "signing-gateway", 40, second),
            Beside("signing-gateway 3", "signing-gateway", 50, {}),
        ]
        self.keeping = [asyncio.create_task(self._keep(one)) for one in self.beside]
        await self.healthy()
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.keeping:
            task.cancel()
        await asyncio.gather(*self.keeping, return_exceptions=True)
        for one in self.beside:
            if one.process and one.process.poll() is None:
                one.process.send_signal(signal.SIGCONT)
                one.process.terminate()
        for one in self.beside:
            if one.process:
                try:
                    await asyncio.to_thread(one.process.wait, GRACE_S)
                except subprocess.TimeoutExpired:
                    one.process.kill()
                    one.process.wait()

    @property
    def gateways(self) -> Sequence[str]:
        """Where they listen."""
        first = Ports(self.stack.port_base).of("signing-gateway")
        return [f"http://127.0.0.1:{first + shift}" for shift in (0, 40, 50)]

    async def look(self) -> Json:
        """The stack's status as it is now."""
        return await asyncio.to_thread(lambda: self.stack.status)

    async def pids(self, part: str) -> list[int]:
        """The processes of a part: of PostgreSQL its backends too."""
        for one in self.beside:
            if one.name == part:
                return [one.process.pid] if one.process else []
        status = await self.look()
        told = status["services"].get(part.removesuffix(" 1")) or status["parts"].get(part) or {}
        if not told.get("pid"):
            return []
        with suppress(psutil.Error):
            return [told["pid"], *(child.pid for child in psutil.Process(told["pid"]).children(recursive=True))]
        return [told["pid"]]

    async def signalled(self, part: str, number: signal.Signals) -> list[int]:
        """Sends a signal to a part; answers whom it reached."""
        reached = []
        for pid in await self.pids(part):
            with suppress(ProcessLookupError):
                os.kill(pid, number)
                reached.append(pid)
        return reached

    async def healthy(self) -> None:
        """Returns once every part is; raises TimeoutError."""

        async def all_ok() -> bool:
            status = await self.look()
            parts = [*status["services"].values(), status["parts"]["kafka"], status["parts"]["postgres"]]
            return all(part["health"] == "ok" for part in parts) and all([await self._ready(one) for one in self.beside])

        await until(all_ok, what="every part healthy", within_s=HEALTHY_WITHIN_S, every_s=0.5)

    async def _ready(self, one: Beside) -> bool:
        url = f"http://127.0.0.1:{Ports(self.stack.port_base).admin(one.service) + one.shift}/readyz"
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session, session.get(url) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _keep(self, one: Beside) -> None:
        ports, status = Ports(self.stack.port_base), self.status
        at = plan.Addresses(State(self.stack.state), ports, status["kafka"]["bootstrap"], status["postgres"]["url"])
        launch = plan.movable(at, one.service)
        where = {
            "LISTEN_PORT": str(ports.of(one.service) + one.shift),
            "ADMIN_PORT": str(ports.admin(one.service) + one.shift),
            "TLS_PORT": str(ports.of("signing-gateway-https") + one.shift),
        }
        while True:
            log = self.stack.state / "logs" / f"{one.name.replace(' ', '-')}.log"
            one.process = _started(launch.command(), launch.environment() | where | one.settings, log)
            while one.process.poll() is None:
                await asyncio.sleep(0.1)
            await asyncio.sleep(AGAIN_S)


def _started(command: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
