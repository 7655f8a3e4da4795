"""How much of a certificate authority's own speed reaches the clients (row 4): real keys, the authority alone on one core."""

import asyncio
import os
import re

from tests.bench.bench import Bench
from tests.bench.figure import Figure
from tests.bench.material import made
from tests.bench.signing import AT_ONCE, laid

GRANTS = 100
HASHES = 10
ROUNDS = 3
OPENSSL_S = 3


async def figures(bench: Bench) -> list[Figure]:
    """Signatures a second through the whole platform ÷ what `openssl speed` makes on that core; the best of three pairs."""
    cores = sorted(os.sched_getaffinity(0))
    alone, others = cores[0], cores[1:] or cores
    material = made()
    material.write(bench.folder / "material")
    async with bench.platform("authority") as platform:
        bed = await laid(platform, material, GRANTS, "sign")
        for process in platform.running:
            process.pin(*([alone] if process.name == "stub" else others))
        os.sched_setaffinity(0, others)  # and so whatever begins from here, as the load
        authority = next(process for process in platform.running if process.name == "stub")
        best, beside = 0.0, {}
        try:
            for _ in range(ROUNDS):
                possible = await openssl_speed(alone)
                busy = authority.cpu()
                run = await bed.measured("gateway", hashes=HASHES, at_once=AT_ONCE)
                busy = (authority.cpu() - busy) / (run.wall + 1)
                rate = run.requests * HASHES / run.wall
                if rate / possible >= best:
                    best = rate / possible
                    beside = {
                        "signatures a second": f"{rate:,.0f}",
                        "openssl": f"{possible:,.0f}",
                        "the authority's core": f"{busy:.0%} busy with it",
                    }
        finally:
            os.sched_setaffinity(0, cores)
    return [Figure("real RSA-2048 keys, 10 hashes a request ÷ openssl speed", best, "ratio", 0.8, beside=beside)]


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
