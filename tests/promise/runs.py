"""Runs: grants of 1, 2, 10 and 1 000 are used up by clients while one fault happens, and then everything is judged."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random

import aiohttp
from tests.promise.demand import Demand
from tests.promise.faults import Fault
from tests.promise.fleet import Fleet
from tests.promise.grants import Grants
from tests.promise.ground import Ground
from tests.promise.invariants import Facts, Violation, violations

from embedded.platform_api import ApiRefused
from embedded.walk import WalkFailed

USED_UP_WITHIN_S = 300
AT_REST_WITHIN_S = 180
NOT_HEALED = (TimeoutError, OSError, aiohttp.ClientError, ApiRefused, WalkFailed)
Say = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """One fault, four grants, and what was found."""

    fault: Fault
    facts: tuple[Facts, ...]
    broken: tuple[Violation, ...]
    seconds: float
    refusals: tuple[str, ...] = ()

    @property
    def made(self) -> int:
        """Signatures at the authority."""
        return sum(len(facts.journal) for facts in self.facts)

    @property
    def received(self) -> int:
        """Signatures that clients hold."""
        return sum(len(facts.received) for facts in self.facts)

    @property
    def forfeited(self) -> int:
        """Units that crashes cost."""
        return sum(facts.forfeited for facts in self.facts)


class Storm:
    """Goes through faults, one run each. The same seed does the same things to the same parts."""

    def __init__(self, fleet: Fleet, random: Random, say: Say) -> None:
        self.fleet, self.random, self.say = fleet, random, say
        self.grants, self.ground = Grants(fleet), Ground(fleet.stack)

    async def prepare(self) -> None:
        """Registers the certificates."""
        await self.grants.prepare()

    async def runs(self, faults: Iterable[Fault], *, go_on: Callable[[], bool] = lambda: True) -> list[Run]:
        """A run for each fault while `go_on` says so."""
        done: list[Run] = []
        for fault in faults:
            if not go_on():
                break
            run = await self.judged(fault)
            done.append(run)
            told = f"{run.made} made, {run.received} received, {run.forfeited} forfeited"
            self.say(f"{fault}: {told}, {len(run.broken)} violations, {run.seconds:.0f} s")
        return done

    async def judged(self, fault: Fault) -> Run:
        """One run; what does not come back to life is a promise broken too."""
        begun = asyncio.get_running_loop().time()
        try:
            return await self.run(fault)
        except NOT_HEALED as why:
            broken = Violation("every part heals", f"{type(why).__name__}: {why}")
            return Run(fault, (), (broken,), asyncio.get_running_loop().time() - begun)

    async def run(self, fault: Fault) -> Run:
        """One run that comes to its end."""
        loop = asyncio.get_running_loop()
        await self.fleet.healthy()
        await self.grants.renew()
        begun = loop.time()
        demands = [(self._demand(each), each.credential, each.epoch) for each in self.grants.standing]
        letters = await self.ground.dead_letters()
        for demand, _, _ in demands:
            demand.begin()
        await asyncio.sleep(self.random.uniform(0.3, 2.5))
        missed = await fault.happen(self.fleet)
        broken = [Violation("the fault happens", f"no process of {part} was reached") for part in missed]
        try:
            await self._used_up(demands)
        finally:
            await asyncio.gather(*(demand.end() for demand, _, _ in demands))
        await self.fleet.healthy()
        if still := await self._at_rest():
            broken.append(Violation("lag and outbox return to 0", still))
        if (more := await self.ground.dead_letters() - letters) > 0:
            broken.append(Violation("no honest event is refused", f"{more} dead letters"))
        facts = await self.ground.facts(demands, exact=fault.exact, keys=fault.keys)
        broken += [each for fact in facts for each in violations(fact)]
        refusals = tuple(text for demand, _, _ in demands for text in demand.refusals)
        return Run(fault, tuple(facts), tuple(broken), loop.time() - begun, refusals)

    def _demand(self, each) -> Demand:
        return Demand(
            each.certificate_id,
            each.client_service,
            each.sign_algorithm,
            each.batch,
            self.fleet.gateways,
            Random(self.random.random()),
        )

    async def _used_up(self, demands: Iterable[tuple[Demand, str, int]]) -> None:
        """Until every limit is gone, or long enough: the judge says which is not."""
        end = asyncio.get_running_loop().time() + USED_UP_WITHIN_S
        left = list(demands)
        while left and asyncio.get_running_loop().time() < end:
            for each in list(left):
                if await self.ground.gone(each[0].certificate_id, each[2]):
                    each[0].ended.set()
                    left.remove(each)
            await asyncio.sleep(0.5)

    async def _at_rest(self) -> str:
        """What is still under way when it should long have come to rest."""
        end = asyncio.get_running_loop().time() + AT_REST_WITHIN_S
        while (still := await self.ground.under_way()) and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.5)
        return still
