"""Every state that the two sides can get into, in a small world: breadth first, so that what is found has a shortest trace.

The network is a set of calls and events, each delivered any number of times, in any order, or never. Gateways crash, are told
to stop, and see time pass whenever it hurts; a patrol forfeits any block at any time, so no clock is assumed. A world without
crashes and without patrols is for the other half of the promise: the limit can always still be reached.

What one side does depends on that side alone, so that each step of the product's functions is taken once and remembered; the
world is a tuple of numbers of what was seen before.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from uuid import UUID

from tests.promise.both_sides import Gateway, Monitor, NoMoreBlocks, NotHonoured, applied_on_paper, ledgers_hold

from contracts import AllowanceCall, SignatureApplied

NOW = 100.0
IDLE, LATE = NOW + 1.0, NOW + 30.0


@dataclass(frozen=True)
class Size:
    """How large the world is."""

    limit: int = 2
    blocks: tuple[int, ...] = (2, 1)  # that each gateway may ask for
    batches: tuple[int, ...] = (1,)  # signatures of a request
    at_once: int = 1  # requests of a gateway
    epochs: int = 1


class World(NamedTuple):
    """One state: numbers of a monitor and of gateways, which calls and events were ever sent, and what the authority did."""

    monitor: int
    gateways: tuple[int, ...]
    calls: int  # a bit each
    events: int
    signed: tuple[int, ...]  # by epoch
    spent: tuple[int, ...]  # signed, or unknown


NOBODY = -1
Text = str | tuple[Any, ...]
Came = dict[World, tuple[World, Text] | None]


class Step(NamedTuple):
    """One step: what happens, by whose client, and where it leads."""

    text: Text
    by: int  # the gateway whose client asks or whose operator stops it: nobody has to. Else NOBODY
    world: World


@dataclass
class Numbers:
    """Gives each thing a number by its key, and keeps the first of each."""

    things: list[Any] = field(default_factory=list)
    by_key: dict[Any, int] = field(default_factory=dict)

    def of(self, key: Any, thing: Any) -> int:
        """The number."""
        if key not in self.by_key:
            self.by_key[key] = len(self.things)
            self.things.append(thing)
        return self.by_key[key]


class Done(NamedTuple):
    """What one step of a gateway did: where it is now, the call it made, how attempts ended."""

    gateway: int
    call: int | None = None
    ended: tuple[tuple[int, int, int, int | None], ...] = ()  # epoch, spent, signed, event


@dataclass(frozen=True)
class Found:
    """What an exploration found: states, steps, and, where a promise is broken, which and how."""

    states: int
    steps: int
    whole: bool  # or as many as were looked at
    fault: str | None = None
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        how_many = "" if self.whole else "the first "
        told = f"{how_many}{self.states:,} states, {self.steps:,} steps: {self.fault or 'every invariant holds'}"
        return "\n".join([told, *(f"    {step}" for step in self.trace)])


class Explorer:
    """Explores a world of `size`. `unknown` is what a gateway does with an attempt whose outcome nobody knows."""

    crashes = True

    def __init__(self, size: Size, unknown: Callable[..., object] = applied_on_paper) -> None:
        self.size, self.unknown = size, unknown
        self.monitors, self.gateways, self.calls, self.events = Numbers(), Numbers(), Numbers(), Numbers()
        self.faults: dict[int, str] = {}  # by monitor
        self.heard: dict[tuple[int, int], tuple[int, Any]] = {}
        self.counted: dict[tuple[int, int], int] = {}
        self.moved: dict[tuple[int, Any], Done | None] = {}
        self.alone: dict[tuple[int, int], list[tuple[Text, int, Done, bool]]] = {}
        self.befallen: dict[int, list[tuple[Text, int]]] = {}
        self.asking: dict[int, int] = {}  # gateways that wait for an answer → their call
        self.judged: dict[Any, str | None] = {}

    # What the two sides do, each step once

    def monitor(self, monitor: Monitor) -> int:
        """The number of a monitor; what was told on the way is for the stateful test."""
        grant = monitor.grant._replace(version=0, to_tell=False, told_at=None, next_due_at=None) if monitor.grant else None
        bare = replace(monitor, grant=grant, told=(), used=0)
        key = (grant, tuple(_epoch_key(e) for e in bare.epochs), tuple(sorted(_block_key(b) for b in bare.blocks)), bare.mends)
        number = self.monitors.of(key, bare)
        if number == len(self.monitors.things) - 1 and number not in self.faults:
            try:
                ledgers_hold(bare)
            except NotHonoured as fault:
                self.faults[number] = str(fault)
        return number

    def gateway(self, gateway: Gateway) -> int:
        """The number of a gateway. How long ago things were is forgotten: any time may pass between two steps."""
        _forget_times(gateway)
        number = self.gateways.of(_gateway_key(gateway), gateway)
        if gateway.call and not gateway.reply:
            self.asking[number] = self.calls.of(_call_key(gateway.call), gateway.call)
        return number

    def after_call(self, monitor: int, call: int) -> tuple[int, Any]:
        """The monitor hears a call."""
        if (monitor, call) not in self.heard:
            after, reply = self.monitors.things[monitor].hear(self.calls.things[call])
            self.heard[monitor, call] = self.monitor(after), reply
        return self.heard[monitor, call]

    def after_event(self, monitor: int, event: int) -> int:
        """The monitor counts an event."""
        if (monitor, event) not in self.counted:
            self.counted[monitor, event] = self.monitor(self.monitors.things[monitor].count(self.events.things[event]))
        return self.counted[monitor, event]

    def after(self, gateway: int, what: Any, do: Callable[[Gateway], Any]) -> Done | None:
        """A gateway does something; None where the world's bounds do not let it."""
        if (gateway, what) not in self.moved:
            moved = self.gateways.things[gateway].copied()
            call = moved.call
            try:
                ended = do(moved) or ()
            except NoMoreBlocks:
                self.moved[gateway, what] = None
                return None
            made = moved.call if moved.call is not call else None
            self.moved[gateway, what] = Done(
                self.gateway(moved),
                self.calls.of(_call_key(made), made) if made else None,
                tuple(
                    (e.epoch, e.spent, e.signed, self.events.of(_event_key(e.event), e.event) if e.event else None) for e in ended
                ),
            )
        return self.moved[gateway, what]

    # The world

    def start(self) -> World:
        """Nothing has happened yet but the first grant."""
        gateways = tuple(
            self.gateway(Gateway(n, deque(ids_of(n, blocks)), self.unknown)) for n, blocks in enumerate(self.size.blocks)
        )
        none = (0,) * (self.size.epochs + 1)
        return World(self.monitor(Monitor().open(1, self.size.limit)), gateways, 0, 0, none, none)

    def steps(self, world: World) -> Iterator[Step]:
        """Everything that can happen next and changes anything."""
        monitor = world.monitor
        for n, number in enumerate(world.gateways):
            for text, by, done, signed in self._alone(number, self._spendable(monitor)):
                yield Step(text, by, self._moved(world, n, done, signed=signed))
            if (call := self.asking.get(number)) is not None:
                after, replied, text = self._answered(number, monitor, call)
                yield Step(text, NOBODY, self._moved(world, n, replied)._replace(monitor=after))
        for call in _bits(world.calls):
            if (after := self.after_call(monitor, call)[0]) != monitor:
                yield Step(("late", call), NOBODY, world._replace(monitor=after))
        for event in _bits(world.events):
            if (after := self.after_event(monitor, event)) != monitor:
                yield Step(("event", event), NOBODY, world._replace(monitor=after))
        for text, after in self._of_monitor(monitor):
            yield Step(text, NOBODY, world._replace(monitor=after))

    def _of_monitor(self, number: int) -> list[tuple[Text, int]]:
        """What befalls the monitor alone: patrols, and a renewal."""
        if number not in self.befallen:
            monitor: Monitor = self.monitors.things[number]
            assert monitor.grant is not None
            found: list[tuple[Text, int]] = []
            for block in monitor.blocks:
                if block.state == "open":
                    after = self.monitor(monitor.sweep([block.allowance_id]))
                    found.append((f"a patrol forfeits block {block.allowance_id.int}", after))
            if monitor.grant.epoch < self.size.epochs:
                found.append(("an operator renews", self.monitor(monitor.open(monitor.grant.epoch + 1, self.size.limit))))
            self.befallen[number] = found
        return self.befallen[number]

    def _alone(self, number: int, spendable: int) -> list[tuple[Text, int, Done, bool]]:
        """What a gateway does without the monitor: the text, whether its client asks, what comes of it, whether the CA signs."""
        if (number, spendable) not in self.alone:
            gateway: Gateway = self.gateways.things[number]
            found: list[tuple[Text, int, Done, bool]] = []
            for text, what, do in self._offers(gateway, spendable):
                if (done := self.after(number, what, do)) is None:
                    continue
                by = gateway.number if what[0] in {"request", "close"} else NOBODY
                told = f"{gateway.holder} {text}"
                if what[:2] == ("end", "unknown"):
                    found.append((f"{told}, the authority did not sign", by, done, False))
                    found.append((f"{told}, the authority did sign", by, done, True))
                elif done != Done(number):
                    found.append((told, by, done, True))
            self.alone[number, spendable] = found
        return self.alone[number, spendable]

    def _answered(self, number: int, monitor: int, call: int) -> tuple[int, Done, Text]:
        """The monitor hears a gateway's present call, and the answer is on its way."""
        after, reply = self.after_call(monitor, call)
        done = self.after(number, ("reply", reply.model_dump_json()), lambda moved: setattr(moved, "reply", reply))
        assert done
        return after, done, ("heard", call, _answers(reply))

    def text(self, text: Text) -> str:
        """What happened, in words."""
        if isinstance(text, str):
            return text
        if text[0] == "event":
            told: SignatureApplied = self.events.things[text[1]]
            return f"the monitor counts a total of {told.total} on block {told.allowance_id.int}"
        call: AllowanceCall = self.calls.things[text[1]]
        late = ", late or again" if text[0] == "late" else f", and answers {text[2]}"
        return f"the monitor hears {call.holder}: {_said(call)}{late}"

    def _spendable(self, monitor: int) -> int:
        known: Monitor = self.monitors.things[monitor]
        assert known.grant is not None
        return known.grant.epoch if known.ledger_of(known.grant.epoch).state != "expired" else 0

    def _offers(self, gateway: Gateway, spendable: int) -> list[tuple[str, Any, Callable[[Gateway], Any]]]:
        """What a gateway can do by itself, `spendable` being what the newest telling of the grant says."""
        offers: list[tuple[str, Any, Callable[[Gateway], Any]]] = []
        if gateway.spendable and not gateway.closed and gateway.waiting + len(gateway.under_way) < self.size.at_once:
            offers += [
                (f"is asked for {count}", ("request", count), lambda g, c=count: g.request(c, NOW)) for count in self.size.batches
            ]
        if gateway.waiting:
            offers.append(("refuses who waited too long", ("tire",), lambda g: g.tire(NOW + 60)))
        if not gateway.call:
            offers.append(("looks", ("look", "now"), lambda g: g.look(NOW, sweep=False)))
            offers.append(("looks when all is idle", ("look", "idle"), lambda g: g.look(IDLE, sweep=True)))
            offers.append(("looks when all is late", ("look", "late"), lambda g: g.look(LATE, sweep=True)))
        else:
            offers.append(("gets no answer in time", ("lost",), lambda g: g.gives_up_the_call()))
        if gateway.reply:
            offers.append(("reads the answer", ("read",), lambda g: g.answered(NOW)))
        for which, units in enumerate(gateway.under_way):
            for how in ("signed", "unknown", "refused"):
                text = f"ends a call of {units.count} on block {units.allowance.id.int} as {how}"
                offers.append((text, ("end", how, which), lambda g, w=which, h=how: [g.end(w, h, NOW)]))
        if self.may_close(gateway):
            offers.append(("is told to stop", ("close",), lambda g: g.close()))
        if gateway.spendable != spendable:
            text = f"hears that epoch {spendable} may be spent" if spendable else "hears that the grant has expired"
            offers.append((text, ("news", spendable), lambda g: setattr(g, "spendable", spendable)))
        if self.crashes:
            offers.append(("crashes", ("crash",), lambda g: g.crash()))
        return offers

    def may_close(self, gateway: Gateway) -> bool:
        """Whether it may be told to stop."""
        return not gateway.closed

    def _moved(self, world: World, n: int, done: Done, *, signed: bool = True) -> World:
        gateways = (*world.gateways[:n], done.gateway, *world.gateways[n + 1 :])
        calls = world.calls | (1 << done.call) if done.call is not None else world.calls
        events, truth, spent = world.events, list(world.signed), list(world.spent)
        for epoch, used, made, event in done.ended:
            spent[epoch] += used
            truth[epoch] += made if signed else 0
            if event is not None:
                events |= 1 << event
        return World(world.monitor, gateways, calls, events, tuple(truth), tuple(spent))

    def fault(self, world: World) -> str | None:
        """The promise that is broken in `world`, or None."""
        key = world.monitor, world.signed, world.spent, world.gateways
        if key not in self.judged:
            self.judged[key] = self.faults.get(world.monitor) or self._fault(world)
        return self.judged[key]

    def _fault(self, world: World) -> str | None:
        monitor: Monitor = self.monitors.things[world.monitor]
        for epoch in monitor.epochs:
            signed, spent, ledger = world.signed[epoch.number], world.spent[epoch.number], epoch.ledger
            spent += sum(self.closing(gateway, epoch.number) for gateway in world.gateways)
            charged = ledger.settled + ledger.forfeited + ledger.reserved
            if signed > ledger.usage_limit:
                return f"overshoot: {signed} signatures in epoch {epoch.number}, limit {ledger.usage_limit}"
            if signed > charged:
                return f"not charged: {signed} signatures in epoch {epoch.number}, {charged} charged"
            if ledger.used > spent:
                return f"counted twice: {ledger.used} shown as used in epoch {epoch.number}, {spent} spent"
        return None

    def closing(self, gateway: int, epoch: int) -> int:
        """Units under way in blocks that are settled already, as applied."""
        under_way = self.gateways.things[gateway].under_way
        return sum(units.count for units in under_way if units.allowance.closed and units.allowance.epoch == epoch)

    def explore(self, most: int = 1_000_000) -> Found:
        """Every state, or the shortest trace to a broken promise."""
        start = self.start()
        came: Came = {start: None}
        queue, steps = deque([start]), 0
        while queue and len(came) < most:
            world = queue.popleft()
            try:
                for step in self.steps(world):
                    steps += 1
                    if step.world not in came:
                        came[step.world] = world, step.text
                        if fault := self.fault(step.world):
                            return Found(len(came), steps, whole=False, fault=fault, trace=self._trace(came, step.world))
                        queue.append(step.world)
            except Exception as fault:  # noqa: BLE001 - whatever the product raises in an honest world breaks its promise
                return Found(
                    len(came), steps, whole=False, fault=f"{type(fault).__name__}: {fault}", trace=self._trace(came, world)
                )
        return Found(len(came), steps, whole=not queue)

    def _trace(self, came: Came, world: World) -> tuple[str, ...]:
        texts: list[str] = []
        while (before := came[world]) is not None:
            world, text = before
            texts.append(self.text(text))
        return tuple(reversed(texts))


def ids_of(number: int, blocks: int) -> list[UUID]:
    """The ids of the blocks that a gateway may ask for."""
    return [UUID(int=1000 * (number + 1) + block) for block in range(1, blocks + 1)]


def _bits(mask: int) -> Iterator[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def _forget_times(gateway: Gateway) -> None:
    book = gateway.book
    held = [block for purse in book._all() for block in purse.allowances] + [units.allowance for units in gateway.under_way]
    for block in held:
        block.used_at, block.deadline, block.usable_until = NOW, NOW + 13.5, NOW + 9
    for purse in book._all():
        purse.not_before, purse.taken, purse.counted_from, purse.last_rate = 0.0, 0, NOW, 0.0
        for waiting in purse.waiting:
            waiting.since, waiting.patience = NOW, NOW + 5
        if purse.asked and purse.asked.first_sent is not None:
            purse.asked.first_sent = NOW
    gateway.refusals.clear()


def _epoch_key(epoch: Any) -> Any:
    return epoch.number, epoch.ledger, epoch.state, epoch.expired_reason


def _block_key(block: Any) -> Any:
    return block.allowance_id.int, block.epoch, block.holder, block.n, block.applied, block.state


def _call_key(call: AllowanceCall) -> Any:
    settle = tuple((item.allowance_id.int, item.applied) for item in call.settle)
    want = tuple((w.allowance_id.int, w.epoch, w.need, w.want) for w in call.want)
    return call.holder, settle, want


def _event_key(event: SignatureApplied) -> Any:
    return event.allowance_id.int, event.epoch, event.first, event.count, event.total


def _held_key(block: Any) -> Any:
    return block.id.int, block.epoch, block.n, block.applied, block.under_way, block.closed


def _gateway_key(gateway: Gateway) -> Any:
    book = gateway.book
    purses = tuple(
        (
            purse.client_service_id.int,
            tuple(_held_key(block) for block in purse.allowances),
            tuple((waiting.need.epoch, waiting.need.count, waiting.draining) for waiting in purse.waiting),
            purse.asked
            and (purse.asked.want.allowance_id.int, purse.asked.want.need, purse.asked.want.want, purse.asked.repeated),
            purse.asked and purse.asked.first_sent is None,
            purse.near,
        )
        for purse in book._all()
    )
    return (
        gateway.holder,
        tuple(block.int for block in gateway.ids),
        gateway.spendable,
        gateway.closed,
        gateway.waiting,
        tuple((_held_key(units.allowance), units.count) for units in gateway.under_way),
        _call_key(gateway.call) if gateway.call else None,
        gateway.reply.model_dump_json() if gateway.reply else None,
        purses,
        tuple((item.allowance_id.int, item.applied) for item in book._settling.values()),
        tuple(book._asked),
        bool(book._pressing),
    )


def _said(call: AllowanceCall) -> str:
    settled = [f"block {item.allowance_id.int} settled at {item.applied}" for item in call.settle]
    wanted = [f"block {want.allowance_id.int} wanted for {want.need} to {want.want}" for want in call.want]
    return f"call ({', '.join(settled + wanted)})"


def _answers(reply: Any) -> str:
    return (
        ", ".join(f"{answer.kind}{f' {answer.n}' if answer.kind == 'granted' else ''}" for answer in reply.answers)
        or "that it is booked"
    )
