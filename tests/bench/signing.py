"""The gateway's hot path against the floor: rows 1 and 3, and the latency that gateway and connector add (row 5).

Everything is on: allowances of the real monitor, acknowledged events on a real broker, the real connector, metrics, traces
at 1 %, every signature verified. Rates are per CPU second of the one gateway process, so that a shared machine does not
distort them.
"""

import asyncio
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp
import msgspec
from cryptography.hazmat.primitives.serialization import Encoding
from tests.bench.bench import Bench, Platform, Running
from tests.bench.figure import Figure
from tests.bench.load import Client, Measured, Order
from tests.bench.machine import divided
from tests.bench.material import Material, made
from tests.bench.population import SECRET, Population

from embedded import keys

GRANTS = 100
ROUNDS = 2  # floor and gateway in turn
AT_ONCE = GRANTS  # requests under way
CONNECTIONS = 256  # at least: who calls at a rate does not wait for the answer to an earlier call
WARM_S = 3.0
REFUSED_SHARE = 0.01  # of a run that a busy machine may turn into refusals which say that they pass
QUIET_SHARE = 0.1
LOGINS = 16
LATENCY_RUNS = 3
APART_S = 60.0  # between them: a machine that others share is slow for a minute or two at a time


@dataclass(frozen=True)
class Bed:
    """A gateway with all that is behind it, the floor beside it, and who calls them."""

    platform: Platform
    gateway: Running
    floor: Running
    stub: str
    orders: dict[str, Order]  # "gateway" and "floor"

    async def measured(self, which: str, **changed: object) -> Measured:
        """One run of the load. Raises RuntimeError when anything was answered but what had to be."""
        order = msgspec.structs.replace(self.orders[which], **changed)
        folder = self.platform.at.state.folder
        asked, answered = folder / "order.json", folder / "measured.json"
        asked.write_bytes(msgspec.json.encode(order))
        process = await asyncio.create_subprocess_exec(*module("load", asked, answered))
        if await process.wait() != 0:
            raise RuntimeError("the load failed")
        found = msgspec.json.decode(answered.read_bytes(), type=Measured)
        if found.refused > REFUSED_SHARE * found.requests:
            raise RuntimeError(
                f"{found.refused} requests to the {which} were not answered as they should be: {found.first_refusal}"
            )
        return found

    async def stub_times(self) -> list[float]:
        """Seconds of each signHash at the stub since this was last asked."""
        async with aiohttp.ClientSession() as http, http.get(f"{self.stub}/times") as answer:
            return list((await answer.json())["seconds"])


async def figures(bench: Bench) -> list[Figure]:
    """Over a hundred grants. The gateway (or the floor) shares a core with the broker; the others have the load and the rest."""
    material = made()
    material.write(bench.folder / "material")
    async with bench.platform("signing") as platform:
        bed = await laid(platform, material, GRANTS)
        with divided([bed.gateway.pid, bed.floor.pid, bench.broker]):
            single, rate = await compared(bed, "single-hash signHash over 100 grants ÷ floor", 0.5)
            added = await latency(bed, rate / 2)
            ten, _ = await compared(bed, "10 hashes per request over 100 grants ÷ floor with 10", 0.6, hashes=10)
    return [single, ten, *added]


async def laid(platform: Platform, material: Material, count: int, stub_mode: str = "replay", *, settled_s: float = 1.0) -> Bed:
    """Everything started and filled, and used for `settled_s`; nothing measured yet."""
    ports, folder = platform.at.ports, platform.at.state.folder
    shared = str(folder.parent / "material")
    stub_port, floor_port = ports.of("sandbox-ca"), ports.of("mailbox")
    stub = f"http://127.0.0.1:{stub_port}"
    tls = folder / "tls"
    tls.mkdir(mode=0o700)
    population = Population(material, count, stub, tls)
    authorities = tls / "authorities.pem"
    authorities.write_bytes(population.clients.certificate.public_bytes(Encoding.PEM))
    platform.say(f"{count} grants: filling tables and topics")
    await population.fill_monitor(platform)
    await population.fill_connector(platform)
    await platform.tell(population.events())
    server, key = map(str, keys.gateway_certificate(platform.at.state))
    stubbed = platform.run("stub", module("stub_ca", stub_port, shared, stub_mode), {})
    floor = platform.run("floor", module("floor", floor_port, shared, server, key, authorities), {})
    await platform.ready(stubbed, f"{stub}/times")
    traced = {"OTLP_ENDPOINT": stub}
    monitor = await platform.start("grant-monitor", **traced)
    connector = await platform.start("ca-connector", **traced, EMBEDDED_CA_HOSTS=f"127.0.0.1:{stub_port}")
    changed = {"CLIENT_AUTHORITIES": str(authorities), "CLIENT_REVOCATION_LISTS": "", "TIMESTAMP_URL": ""}
    gateway = await platform.start("signing-gateway", **traced, **changed)
    clients = await logged_in(platform, population)
    await quiet(monitor, connector, gateway)
    connections = clients * math.ceil(CONNECTIONS / len(clients))
    order = Order("127.0.0.1", ports.of("signing-gateway-https"), shared, connections, ca=server, pid=gateway.pid)
    bed = Bed(platform, gateway, floor, stub, {
        "gateway": order, "floor": msgspec.structs.replace(order, port=floor_port, pid=floor.pid)
    })  # fmt: skip
    await bed.measured("gateway", seconds=settled_s, at_once=AT_ONCE, warm_s=WARM_S)
    return bed


def module(name: str, *arguments: object) -> list[str]:
    """The command line of a module beside this one."""
    return [sys.executable, "-m", f"tests.bench.{name}", *map(str, arguments)]


async def logged_in(platform: Platform, population: Population) -> list[Client]:
    """A token for everybody."""
    bound, url = asyncio.Semaphore(LOGINS), platform.at.service("signing-gateway") + "/oauth2/token"
    keys = len(Material.read(platform.at.state.folder.parent / "material").keys)
    async with aiohttp.ClientSession() as http:

        async def one(number: int) -> Client:
            member = population.members[number]
            form = {"grant_type": "client_credentials", "client_id": member.client_id, "client_secret": SECRET}
            async with bound, http.post(url, data=form) as answer:
                answer.raise_for_status()
                token = (await answer.json())["access_token"]
            return Client(token, str(member.certificate_id), number % keys, str(member.pem or ""))

        return list(await asyncio.gather(*(one(number) for number in range(len(population.members)))))


async def quiet(*processes: Running) -> None:
    """Returns when the processes have digested what they were told."""
    while True:
        before = [each.cpu() for each in processes]
        await asyncio.sleep(1)
        if all(each.cpu() - was < QUIET_SHARE for each, was in zip(processes, before, strict=True)):
            return


async def compared(bed: Bed, name: str, bar: float, *, hashes: int = 1, each_once: bool = False) -> tuple[Figure, float]:
    """Signatures per CPU second of the gateway ÷ those of the floor, measured in turn; and its requests a second by the clock.

    Both are medians of the rounds.
    """
    pairs = []
    for _ in range(ROUNDS):
        floor = await bed.measured("floor", hashes=hashes, seconds=3.0, at_once=AT_ONCE, each_once=each_once)
        gateway = await bed.measured("gateway", hashes=hashes, at_once=AT_ONCE, each_once=each_once)
        pairs.append((floor, gateway))
        bed.platform.say(f"  {name}: {_per_cpu(gateway):.0f}/{_per_cpu(floor):.0f} requests per CPU second")
    ratio = statistics.median(_per_cpu(gateway) / _per_cpu(floor) for floor, gateway in pairs)
    figure = Figure(name, ratio, "ratio", bar, beside={
        "gateway": _told([gateway for _, gateway in pairs], hashes),
        "floor": _told([floor for floor, _ in pairs], hashes),
    })  # fmt: skip
    return figure, statistics.median(gateway.requests / gateway.wall for _, gateway in pairs)


async def latency(bed: Bed, rate: float) -> list[Figure]:
    """What gateway and connector add at `rate` requests a second, come when they may; the stub's own time taken off."""
    best: dict[str, tuple[float, str]] = {}
    for number in range(LATENCY_RUNS):
        if number:
            await asyncio.sleep(APART_S)
        await bed.stub_times()
        run = await bed.measured("gateway", rate=rate, seconds=5.0, warm_s=1.5)
        own = sorted(await bed.stub_times())
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            stub = own[min(len(own) - 1, int(len(own) * share))]
            seen, pace = run.percentile(share) * 1_000, run.requests / run.wall
            said = f"{seen:.2f} ms, of which the stub {stub * 1_000:.2f} ms, at {pace:,.0f} a second"
            if not run.apart:
                said += ", with a load that had to wait for a core (no right to real-time priority)"
            best[name] = min(best.get(name, (float("inf"), "")), (seen - stub * 1_000, said))
    return [
        Figure(f"latency added at half that rate, {name}", best[name][0], "ms", bar, "at most", {"best run": best[name][1]})
        for name, bar in (("p50", 3.0), ("p99", 15.0))
    ]


def _per_cpu(measured: Measured) -> float:
    return measured.requests / measured.cpu


def _told(runs: Sequence[Measured], hashes: int) -> str:
    per_cpu = statistics.median(_per_cpu(run) for run in runs) * hashes
    wall = statistics.median(run.requests / run.wall for run in runs) * hashes
    micros = 1e6 / per_cpu
    return f"{per_cpu:,.0f} signatures per CPU second ({micros:.0f} µs each), {wall:,.0f} a second by the clock"
