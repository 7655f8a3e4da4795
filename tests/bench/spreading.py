"""The gateway's hot path over ten thousand grants in turn, so that each signature is another service's (row 2)."""

from tests.bench.bench import Bench
from tests.bench.figure import Figure
from tests.bench.material import made
from tests.bench.signing import compared, laid

GRANTS = 10_000
SETTLED_S = 20.0  # in which each of very many services signs several times, so that it holds a block, as in any hour


async def figures(bench: Bench) -> list[Figure]:
    """As `signing`, with a connection for every service, on each of which was signed before it is measured."""
    material = made()
    material.write(bench.folder / "material")
    async with bench.platform("spreading") as platform:
        bed = await laid(platform, material, GRANTS, settled_s=SETTLED_S)
        figure, _ = await compared(bed, "single-hash signHash over 10 000 grants in turn ÷ floor", 0.4, each_once=True)
    return [figure]
