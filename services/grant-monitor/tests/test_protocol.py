"""The allowance protocol under loss, repetition, reordering, crashes, sweeps and renewals, against the monitor's real books."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from contracts import CaAccessGranted, Granted, SignatureApplied, Want
from grant_monitor.books import Books

CERTIFICATE, SERVICE = UUID(int=12), UUID(int=13)
START = datetime(2026, 11, 21, 12, tzinfo=UTC)
LIMIT = 12
GATEWAYS = st.integers(0, 2)


@dataclass
class Block:
    """What a gateway holds, or waits for."""

    want: Want
    answered: bool = False
    n: int = 0  # not spent yet
    applied: int = 0


class Protocol(RuleBasedStateMachine):
    """Messages are delivered any number of times, in any order, or never. Gateways crash; the sweeper comes at any time."""

    def __init__(self):
        super().__init__()
        self.books = Books(START, START)
        self.hands: dict[int, Block] = {}
        self.network: list[tuple[str, object, int, int]] = []  # what, want, total, gateway
        self.signed = Counter()  # ground truth, by epoch
        self.spent = Counter()  # signed or unknown
        self.heard = Counter()  # the greatest total delivered, by block
        self.epoch = 0
        self.renew()

    @rule()
    @precondition(lambda self: self.epoch < 4)
    def renew(self):
        self.epoch += 1
        granted = CaAccessGranted(
            certificate_id=CERTIFICATE,
            epoch=self.epoch,
            granted_at=START,
            expires_at=START + timedelta(days=60),
            usage_limit=LIMIT,
            warn_before_s=604_800,
            warn_above_bp=5_000,
        )
        self.books.open(granted)

    @rule(gateway=GATEWAYS, need=st.integers(1, 4), ahead=st.integers(0, 12))
    def ask(self, gateway, need, ahead):
        if gateway not in self.hands:
            want = Want(
                allowance_id=uuid4(),
                certificate_id=CERTIFICATE,
                client_service_id=SERVICE,
                epoch=self.epoch,
                need=need,
                want=need + ahead,
            )
            self.hands[gateway] = Block(want)
            self.network.append(("want", want, 0, gateway))

    @rule(which=st.integers(0, 200), answered=st.booleans())
    def deliver(self, which, answered):
        if not self.network:
            return
        what, want, total, gateway = self.network[which % len(self.network)]
        if what == "want":
            answer = self.books.answer(want, f"gw-{gateway}")
            block = self.hands.get(gateway)
            if answered and isinstance(answer, Granted) and block is not None and block.want is want and not block.answered:
                block.answered, block.n = True, answer.n
            return
        if what == "settle":
            self.books.settle(want.allowance_id, total, f"gw-{gateway}")
        else:
            self.books.count(_applied(want, total), START)
        if want.allowance_id in self.books.allowances:
            self.heard[want.allowance_id] = max(self.heard[want.allowance_id], total)

    @rule(gateway=GATEWAYS, units=st.integers(1, 4), outcome=st.sampled_from(["signed", "answer lost", "not signed", "refused"]))
    def spend(self, gateway, units, outcome):
        block = self.hands.get(gateway)
        if block is None or block.n < units:
            return
        block.n -= units
        if outcome == "refused":
            return
        block.applied += units
        self.spent[block.want.epoch] += units
        if outcome != "not signed":
            self.signed[block.want.epoch] += units
        if outcome == "signed":
            self.network.append(("applied", block.want, block.applied, gateway))

    @rule(gateway=GATEWAYS)
    def settle(self, gateway):
        if (block := self.hands.pop(gateway, None)) is not None:
            self.network.append(("settle", block.want, block.applied, gateway))

    @rule(gateway=GATEWAYS)
    def crash(self, gateway):
        self.hands.pop(gateway, None)

    @rule()
    def sweep(self):
        self.books.host_now += timedelta(minutes=11)
        self.books.sweep()

    @invariant()
    def nothing_is_signed_that_is_not_charged_and_no_limit_is_passed(self):
        for (_, number), epoch in self.books.epochs.items():
            ledger = epoch.ledger
            charged = ledger.settled + ledger.forfeited + ledger.reserved
            assert self.signed[number] <= self.spent[number] <= charged <= LIMIT
            assert min(ledger.settled, ledger.forfeited, ledger.reserved, ledger.counted, ledger.reserved - ledger.counted) >= 0

    @invariant()
    def usage_is_the_sum_of_the_greatest_totals(self):
        used = Counter()
        for block in self.books.allowances.values():
            assert block.applied == self.heard[block.allowance_id]
            used[block.epoch] += block.applied
        for (_, number), epoch in self.books.epochs.items():
            assert epoch.ledger.used == used[number] <= self.spent[number]
        assert self.books.used.total() == used.total()

    @invariant()
    def what_is_reserved_is_in_open_blocks(self):
        for (_, number), epoch in self.books.epochs.items():
            still = [a for a in self.books.allowances.values() if a.state == "open" and a.epoch == number]
            assert epoch.ledger.reserved == sum(block.n for block in still)
            assert self.books.open_blocks.get((CERTIFICATE, number), Counter()).total() == len(still)

    @invariant()
    def only_what_is_gone_for_good_expires_by_usage(self):
        for epoch in self.books.epochs.values():
            if epoch.state == "expired":
                assert epoch.ledger.settled + epoch.ledger.forfeited == LIMIT
                assert epoch.ledger.reserved == 0

    @invariant()
    def each_effect_is_told_once_and_versions_rise(self):
        effects = Counter((told.cause, told.epoch) for told in self.books.told)
        assert set(effects.values()) == {1}
        assert [told.version for told in self.books.told] == list(range(1, len(self.books.told) + 1))
        expired = [told.last_expired.epoch for told in self.books.told if told.last_expired]
        assert expired == sorted(expired)


def _applied(want, total):
    return SignatureApplied(
        certificate_id=CERTIFICATE,
        epoch=want.epoch,
        client_service_id=SERVICE,
        allowance_id=want.allowance_id,
        first=0,
        count=total,
        total=total,
        outcome="applied",
    )


TestProtocol = Protocol.TestCase
TestProtocol.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
