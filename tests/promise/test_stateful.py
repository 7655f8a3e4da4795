"""Both sides' functions under hypothesis: larger numbers, real validities, clocks that differ, every fault in any order."""

from collections import Counter, deque
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.promise.both_sides import CERTIFICATE, LASTS, START, Gateway, Monitor, expiries, ledgers_hold

import grant_monitor.ledger
from contracts import AccessGrant
from signing_gateway.projections import Known

LIMIT, NEAR = 40, 12
THREE = st.integers(0, 2)
ANY = st.integers(0, 1_000)
SKEWS = st.floats(-2, 2)  # seconds by which a monitor's host differs from another


class TwoSides(RuleBasedStateMachine):
    """Calls and events are lost, doubled, late, replayed; anybody dies at any moment; time passes; operators renew."""

    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(grant_monitor.ledger, "NEAR_UNITS", NEAR)
        self.monitor = Monitor()
        self.seconds = 0.0  # since START, by a perfect clock
        self.number = 0
        self.gateways = [Gateway(n) for n in range(3)]
        self.known = [Known() for _ in range(3)]
        self.calls, self.events = [], []
        self.signed, self.spent, self.released = Counter(), Counter(), Counter()  # by epoch
        self.heard = Counter()  # the greatest total delivered, by block
        self.renew()

    @initialize(rates=st.tuples(*[st.sampled_from([0.95, 1.0, 1.05])] * 3))
    def boot(self, rates):
        self.rates = rates
        for n in range(3):
            self.hear_the_news(n, 0)

    @property
    def now(self):
        return START + timedelta(seconds=self.seconds)

    def at(self, gateway):
        """The gateway's boot-time clock, which does not run as fast as another's."""
        return 1_000 + self.seconds * self.rates[gateway]

    def look(self, gateway, sweep):
        it = self.gateways[gateway]
        it.ids = deque(UUID(int=(gateway + 1) * 10**6 + self.number + k) for k in range(4))
        self.number += 4
        it.look(self.at(gateway), sweep=sweep)
        if it.call:
            self.calls.append(it.call)

    @rule(seconds=st.sampled_from([0.05, 0.5, 1.2, 6.0, 14.0, 20.0, 500.0, 700.0]))
    def time_passes(self, seconds):
        self.seconds += seconds

    @rule()
    @precondition(lambda self: len(self.monitor.epochs) < 4)
    def renew(self):
        self.monitor = self.monitor.open(len(self.monitor.epochs) + 1, LIMIT, at=self.now, warn_above_bp=5_000)

    @rule(gateway=THREE, which=ANY)
    def hear_the_news(self, gateway, which):
        """Tellings come in any order, and again."""
        told = self.monitor.told[-1 - which % len(self.monitor.told)]
        self.known[gateway].apply()[AccessGrant](told)
        self.gateways[gateway].spendable = self.known[gateway].spendable_epoch(CERTIFICATE)
        self.gateways[gateway].draining = self.known[gateway].draining(CERTIFICATE)

    @rule(gateway=THREE, service=st.integers(0, 1), count=st.integers(1, 6))
    def request(self, gateway, service, count):
        grant = self.known[gateway].grants.get(CERTIFICATE)
        it = self.gateways[gateway]
        if grant and not grant.over(self.now) and not it.closed and it.waiting + len(it.under_way) < 6:
            it.request(count, self.at(gateway), service)

    @rule(gateway=THREE, sweep=st.booleans())
    def gateway_looks(self, gateway, sweep):
        if not self.gateways[gateway].call:
            self.look(gateway, sweep)

    @rule(
        gateway=THREE, service=st.integers(0, 1), count=st.integers(0, 6), how=st.sampled_from(["signed", "unknown", "refused"])
    )
    def all_goes_well(self, gateway, service, count, how):
        """The usual walk, without which chance alone would seldom get anywhere: asked for, handed out, signed."""
        if count:
            self.request(gateway, service, count)
        self.gateway_looks(gateway, sweep=True)
        self.monitor_hears(gateway, "answered", 0)
        self.gateway_reads_the_answer(gateway)
        self.call_to_the_authority_ends(gateway, 0, how)

    @rule(gateway=THREE, answered=st.sampled_from(["answered", "answer lost", "monitor killed before its commit"]), skew=SKEWS)
    def monitor_hears(self, gateway, answered, skew):
        it = self.gateways[gateway]
        if it.call and not it.reply:
            after, reply = self.monitor.hear(it.call, now=self.now, host_now=self.host(skew))
            if answered == "answered":
                it.reply = reply
            if answered != "monitor killed before its commit":
                self.booked(it.call)
                self.monitor = after

    @rule(which=ANY, skew=SKEWS)
    def monitor_hears_an_old_call(self, which, skew):
        if self.calls:
            call = self.calls[which % len(self.calls)]
            self.monitor, _ = self.monitor.hear(call, now=self.now, host_now=self.host(skew))
            self.booked(call)

    @rule(gateway=THREE)
    def gateway_reads_the_answer(self, gateway):
        if self.gateways[gateway].reply:
            self.gateways[gateway].answered(self.at(gateway))

    @rule(gateway=THREE)
    def call_gets_no_answer(self, gateway):
        self.gateways[gateway].gives_up_the_call()

    @rule(gateway=THREE)
    def whoever_waited_gives_up(self, gateway):
        self.gateways[gateway].tire(self.at(gateway))

    @rule(gateway=THREE, which=ANY, how=st.sampled_from(["signed", "signed", "unknown", "refused"]))
    def call_to_the_authority_ends(self, gateway, which, how):
        it = self.gateways[gateway]
        if not it.under_way:
            return
        units = it.under_way[which % len(it.under_way)]
        in_time = self.at(gateway) < units.allowance.deadline
        ended = it.end(which % len(it.under_way), how, self.at(gateway))
        self.ended(ended)
        if ended.event is None:
            return
        self.events.append(ended.event)
        if in_time:
            block = next(b for b in self.monitor.blocks if b.allowance_id == units.allowance.id)
            assert block.state != "forfeited", "a signature is released on a block that was given up"
            self.released[ended.epoch] += ended.signed

    @rule(which=ANY)
    def event_is_counted(self, which):
        if self.events:
            self.counted(self.events[which % len(self.events)])

    @rule(gateway=THREE)
    def gateway_is_told_to_stop(self, gateway):
        self.gateways[gateway].close()

    @rule(gateway=THREE)
    def gateway_dies_and_starts_again(self, gateway):
        for ended in self.gateways[gateway].crash():
            self.ended(ended)
        self.known[gateway] = Known()
        self.hear_the_news(gateway, 0)

    @rule(skew=SKEWS, seconds=st.sampled_from([0, 0, 18, 700]))
    def patrol_comes(self, skew, seconds=0):
        self.seconds += seconds
        self.monitor = self.monitor.sweep(now=self.now, host_now=self.host(skew))
        self.monitor = self.monitor.review(now=self.now, host_now=self.host(skew))

    def host(self, skew):
        return self.now + timedelta(seconds=skew / 2)

    def ended(self, ended):
        self.spent[ended.epoch] += ended.spent
        self.signed[ended.epoch] += ended.signed

    def booked(self, call):
        blocks = {block.allowance_id for block in self.monitor.blocks}
        for item in call.settle:
            if item.allowance_id in blocks:
                self.heard[item.allowance_id] = max(self.heard[item.allowance_id], item.applied)

    def counted(self, event):
        self.monitor = self.monitor.count(event, now=self.now, host_now=self.now)
        self.heard[event.allowance_id] = max(self.heard[event.allowance_id], event.total)

    @invariant()
    def the_ledgers_hold(self):
        ledgers_hold(self.monitor)
        assert self.monitor.used == sum(block.applied for block in self.monitor.blocks)
        assert all(block.applied == self.heard[block.allowance_id] for block in self.monitor.blocks)

    @invariant()
    def nothing_is_signed_that_is_not_charged_and_nothing_counted_that_is_not_spent(self):
        for epoch in self.monitor.epochs:
            ledger = epoch.ledger
            charged = ledger.settled + ledger.forfeited + ledger.reserved
            assert self.signed[epoch.number] <= charged <= LIMIT
            assert ledger.used <= self.spent[epoch.number] + sum(self.closing(gateway, epoch.number) for gateway in self.gateways)

    @invariant()
    def each_end_is_told_once_and_is_a_true_one(self):
        told = self.monitor.told
        assert [each.version for each in told] == list(range(1, len(told) + 1))
        ends = expiries(told)
        assert [end.epoch for end in ends] == sorted({end.epoch for end in ends})
        granted = {epoch.number: epoch.granted_at for epoch in self.monitor.epochs}
        assert all(end.at == granted[end.epoch] + LASTS for end in ends if end.reason == "time")
        seen = [each.last_expired.epoch for each in told if each.last_expired]
        assert seen == sorted(seen)

    @staticmethod
    def closing(gateway, epoch):
        return sum(u.count for u in gateway.under_way if u.allowance.closed and u.allowance.epoch == epoch)

    def teardown(self):
        """When all heals, everything comes back, and what was released is counted."""
        try:
            if hasattr(self, "rates"):
                self.heal()
        finally:
            self.patch.undo()

    def heal(self):
        for event in self.events:
            self.counted(event)
        for _ in range(40):
            self.seconds += 20
            for n, it in enumerate(self.gateways):
                while it.under_way:
                    self.call_to_the_authority_ends(n, 0, "signed")
                it.tire(self.at(n))
                if not it.call:
                    self.look(n, sweep=True)
                if it.call and not it.reply:
                    self.booked(it.call)
                    self.monitor, it.reply = self.monitor.hear(it.call, now=self.now, host_now=self.now)
                if it.reply:
                    it.answered(self.at(n))
            self.patrol_comes(0)
        for event in self.events:
            self.counted(event)
        self.the_ledgers_hold()
        for epoch in self.monitor.epochs:
            assert epoch.ledger.reserved == 0
            assert self.released[epoch.number] <= epoch.ledger.used


TestTwoSides = TwoSides.TestCase
TestTwoSides.settings = settings(
    max_examples=400, stateful_step_count=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestTwoSides = pytest.mark.timeout(900)(TestTwoSides)
