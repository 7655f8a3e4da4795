"""How much of a certificate authority's own speed reaches the clients (row 4): real keys, the authority alone on one core."""

import asyncio
import re

from tests.bench.bench import Bench
from tests.bench.figure import Figure
from tests.bench.load import Measured
from tests.bench.machine import divided
from tests.bench.material import made
from tests.bench.signing import AT_ONCE, laid

GRANTS = 100
HASHES = 10
ROUNDS = 3
SECONDS = 3.0
OPENSSL_S = 2


async def figures(bench: Bench) -> list[Figure]:
    """Signatures a second through the whole platform ÷ what `openssl speed` makes on the same core, by the clock.

    The best of the rounds ÷ the best of what openssl makes before, between and after them, while the authority rests: whoever
    else uses the machine only ever takes from either.
    """
    material = made()
    material.write(bench.folder / "material")
    async with bench.platform("authority") as platform:
        bed = await laid(platform, material, GRANTS, "sign")
        authority = next(process for process in platform.running if process.name == "stub")
        with divided([authority.pid]) as alone:
            possible, runs = [await openssl_speed(alone)], []
            for _ in range(ROUNDS):
                runs.append(await bed.measured("gateway", hashes=HASHES, at_once=AT_ONCE, seconds=SECONDS, pid=authority.pid))
                possible.append(await openssl_speed(alone))
    best = max(runs, key=_rate)
    beside = {
        "signatures a second": f"{_rate(best):,.0f}, of all rounds {_spread([_rate(run) for run in runs])}",
        "openssl": f"{max(possible):,.0f}, of all rounds {_spread(possible)}",
        "the authority's core": f"{best.cpu / best.wall:.0%} busy with it",
    }
    name = "real RSA-2048 keys, 10 hashes a request ÷ openssl speed"
    return [Figure(name, _rate(best) / max(possible), "ratio", 0.8, beside=beside)]


async def openssl_speed(core: int) -> float:
    """RSA-2048 signatures a second by the clock on one core."""
    process = await asyncio.create_subprocess_exec(
        "taskset", "-c", str(core), "openssl", "speed", "-elapsed", "-seconds", str(OPENSSL_S), "rsa2048",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    said, _ = await process.communicate()
    found = re.search(rb"rsa 2048 bits\s+[\d.]+s\s+[\d.]+s\s+([\d.]+)", said)
    if process.returncode != 0 or found is None:
        raise RuntimeError("openssl speed said nothing that can be read")
    return float(found[1])


def _rate(run: Measured) -> float:
    return run.requests * HASHES / run.wall


def _spread(rates: list[float]) -> str:
    return f"{min(rates):,.0f} to {max(rates):,.0f}"
