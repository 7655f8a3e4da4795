"""Coalescing: what waits for the same certificate and algorithms goes to the CA in one call.

There is no timer. While fewer than `at_once` calls of a lane are under way the next one starts at once with whatever waits;
otherwise what comes waits until one returns, and then goes together.
"""

from collections import deque
from uuid import UUID

import msgspec
from msgspec import field

from ca_connector.bulk import Reply, SignItem, SignResult
from hosting import boottime

Algorithms = tuple[str, str, str | None]
"""Of the hash, of the signature, and the latter's parameters."""


class Waiting(msgspec.Struct, eq=False):
    """One item, what was made of it so far, and who waits for it."""

    item: SignItem
    reply: Reply
    made: list[str] = []
    since: float = field(default_factory=boottime)
    alone: bool = False  # it goes by itself: together with others it was refused, and one of them may be at fault

    def part(self, step: int) -> list[str]:
        """The hashes that go next: all that are left, as far as one call takes them."""
        return self.item.hashes[len(self.made) : len(self.made) + step]

    def signed(self, signatures: list[str]) -> bool:
        """Notes the signatures of the part that went; whether the item is done, which is told."""
        self.made += signatures
        done = len(self.made) == len(self.item.hashes)
        if done:
            self.reply.add(SignResult(self.item.item_id, "signed", self.made))
        return done

    def refused(self, reason: str, detail: str) -> None:
        """The CA made nothing of this part; but where earlier parts were signed, the whole is unknown."""
        if self.made:
            self.unknown(f"a later part failed: {detail}")
        else:
            self.reply.add(SignResult(self.item.item_id, "refused", reason=reason, detail=detail))

    def unknown(self, detail: str) -> None:
        """Nobody knows whether the CA signed."""
        self.reply.add(SignResult(self.item.item_id, "unknown", reason="ca-answer-unknown", detail=detail))


class Lane(msgspec.Struct, eq=False):
    """What waits for one certificate under one set of algorithms."""

    certificate_id: UUID
    algorithms: Algorithms
    waiting: deque[Waiting] = field(default_factory=deque)
    at_work: int = 0
    setting_out: bool = False  # one was begun that has not taken anything yet: what comes now goes with it

    def wants_another(self, at_once: int) -> bool:
        """Whether somebody should set out for what waits."""
        return not self.setting_out and self.at_work < at_once

    def set_out(self) -> None:
        """Somebody begins to make calls for it."""
        self.setting_out = True
        self.at_work += 1

    def came_back(self) -> bool:
        """That somebody found nothing more to do; whether nobody is at work for it now."""
        self.setting_out = False
        self.at_work -= 1
        return not self.at_work

    def take(self, step: int) -> list[Waiting]:
        """The items of the next call: whole ones, `step` hashes in all, or the next part of one that is larger."""
        self.setting_out = False
        taken: list[Waiting] = []
        room = step
        while self.waiting:
            item = self.waiting[0]
            if item.reply.abandoned:  # nobody waits for it any more, and it was not sent: then it need not be signed
                self.waiting.popleft()
                continue
            size = len(item.part(step))
            if taken and (size > room or item.alone):
                break
            taken.append(self.waiting.popleft())
            room -= size
            if item.alone:
                break
        return taken

    def back(self, items: list[Waiting]) -> None:
        """These go next, in their order."""
        self.waiting.extendleft(reversed(items))

    def go_on(self, items: list[Waiting]) -> None:
        """These have further parts, which wait behind everybody else: one large item must not keep out all others."""
        for item in items:
            item.since = boottime()
        self.waiting.extend(items)

    def shed(self, before: float) -> None:
        """Refuses what has waited since before that boot time: it was never sent, and later its answer would find nobody."""
        while self.waiting and self.waiting[0].since < before:
            self.waiting.popleft().refused("ca-unavailable", "too many calls to the CA are under way")
