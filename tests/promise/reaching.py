"""The other half of the promise: while nobody crashes, the limit can be reached from wherever the two sides have got to.

No crash, no patrol, and no call that is heard after its repetition; but calls, answers and events are lost, outcomes stay
unknown, the authority refuses, and the other gateways may fall silent or be told to stop at any moment. Demand lasts at the
first gateway alone: what another holds and does not use has to come back by itself. Blocks that both sides are done with are
forgotten, so that the world stays finite however many are asked for.
"""

from collections import deque
from dataclasses import dataclass, replace

from tests.promise.both_sides import Gateway, Monitor
from tests.promise.exploring import Done, Explorer, Found, Size, Step, World, ids_of

MOST_HELD = 4  # blocks that a gateway asks for, holds or settles at once


@dataclass(frozen=True)
class Edges:
    """The steps that can be relied on, backwards: from where to where."""

    into: dict[World, list[World]]
    came: dict[World, tuple[World, object] | None]
    steps: int
    whole: bool


class Reaching(Explorer):
    """A world without crashes."""

    crashes = False

    def __init__(self, size: Size) -> None:
        super().__init__(size)
        self.tidy: dict[tuple[int, int], tuple[int, int]] = {}

    def may_close(self, gateway: Gateway) -> bool:
        """The first has lasting demand; it stays."""
        return not gateway.closed and gateway.number > 0

    def start(self) -> World:
        """As every world, tidy."""
        return self.tidied(super().start())

    def _of_monitor(self, number: int) -> list[tuple[object, int]]:  # type: ignore[override]
        return []

    def _moved(self, world: World, n: int, done: Done, *, signed: bool = True) -> World:
        return super()._moved(world, n, done, signed=signed)._replace(calls=0, signed=world.signed, spent=world.spent)

    def steps_here(self, world: World):
        """Every step, with its event counted at once or lost."""
        for step in self.steps(world):
            after = step.world
            if not after.events:
                yield step._replace(world=self.tidied(after))
                continue
            event = after.events.bit_length() - 1
            told = after._replace(events=0, monitor=self.after_event(after.monitor, event))
            yield Step(f"{self.text(step.text)}, and it is counted", step.by, self.tidied(told))
            yield Step(f"{self.text(step.text)}, and nobody counts it", step.by, self.tidied(after._replace(events=0)))

    def tidied(self, world: World) -> World:
        """Without the blocks that both sides are done with: their ids may be asked for anew."""
        monitor, gateways = world.monitor, list(world.gateways)
        for n, gateway in enumerate(gateways):
            if (gateway, monitor) not in self.tidy:
                self.tidy[gateway, monitor] = self._tidied(gateway, monitor)
            gateways[n], monitor = self.tidy[gateway, monitor]
        return world._replace(monitor=monitor, gateways=tuple(gateways))

    def _tidied(self, number: int, of: int) -> tuple[int, int]:
        gateway: Gateway = self.gateways.things[number]
        monitor: Monitor = self.monitors.things[of]
        named = _named(gateway)
        kept = [b for b in monitor.blocks if b.state == "open" or b.holder != gateway.holder or b.allowance_id in named]
        there = named | {block.allowance_id for block in kept}
        free = deque(each for each in ids_of(gateway.number, MOST_HELD) if each not in there)
        if free != gateway.ids:
            gateway = gateway.copied()
            gateway.ids = free
            number = self.gateway(gateway)
        return number, self.monitor(replace(monitor, blocks=tuple(kept)))

    def reached(self, world: World) -> bool:
        """Exactly the limit is used, and the grant has expired of it."""
        monitor: Monitor = self.monitors.things[world.monitor]
        epoch = monitor.epochs[-1]
        return epoch.expired_reason == "usage" and epoch.ledger.settled == self.size.limit

    def explore(self, most: int = 1_000_000) -> Found:
        """Whether every state has a way to the limit; else the shortest trace to one that has none."""
        graph = self._graph(most)
        good = {world for world in graph.came if self.reached(world)}
        queue = deque(good)
        while queue:
            for before in graph.into.get(queue.popleft(), ()):
                if before not in good:
                    good.add(before)
                    queue.append(before)
        for world in graph.came:
            if world not in good and graph.whole:
                fault = f"from here the limit of {self.size.limit} can never be reached"
                return Found(len(graph.came), graph.steps, graph.whole, fault, self._trace(graph.came, world))
        return Found(len(graph.came), graph.steps, graph.whole)

    def _graph(self, most: int) -> Edges:
        start = self.start()
        came: dict = {start: None}
        into: dict = {}
        queue, steps = deque([start]), 0
        while queue and len(came) < most:
            world = queue.popleft()
            for step in self.steps_here(world):
                steps += 1
                if step.by <= 0:  # of what people do, only the first gateway's client is relied on to ask
                    into.setdefault(step.world, []).append(world)
                if step.world not in came:
                    came[step.world] = world, step.text
                    queue.append(step.world)
        return Edges(into, came, steps, whole=not queue)


def _named(gateway: Gateway) -> set:
    """Blocks that the gateway still has to do with."""
    book = gateway.book
    named = {block.id for purse in book._all() for block in purse.allowances} | set(book._asked) | set(book._settling)
    named |= {units.allowance.id for units in gateway.under_way}
    if gateway.call:
        named |= {item.allowance_id for item in gateway.call.settle} | {want.allowance_id for want in gateway.call.want}
    return named
