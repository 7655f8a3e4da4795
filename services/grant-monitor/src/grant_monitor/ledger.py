"""The count of one grant epoch: what is charged, what is in hand, what is known to be used. Pure arithmetic.

Every unit of the limit is in exactly one place: settled, forfeited, reserved or free. `counted` is the part of what is
reserved that events have told as applied.

Records of the domain are named tuples: as unchangeable as a frozen data class, and made and changed in a third of the time,
which is most of what counting an event takes.
"""

from typing import NamedTuple, Self

NEAR_UNITS = 10_000
NEAR_SHARE = 100  # one hundredth of the limit


class Ledger(NamedTuple):
    """Signatures of one epoch. `settled + forfeited + reserved` never exceeds `usage_limit`; the database checks it too."""

    usage_limit: int
    settled: int = 0
    forfeited: int = 0
    reserved: int = 0
    counted: int = 0

    @property
    def left(self) -> int:
        """What is not gone for good: free, or in hand and perhaps coming back."""
        return self.usage_limit - self.settled - self.forfeited

    @property
    def free(self) -> int:
        """What can be handed out now."""
        return self.left - self.reserved

    @property
    def used(self) -> int:
        """What is shown as used: settled, and applied of the blocks still open."""
        return self.settled + self.counted

    @property
    def used_up(self) -> bool:
        """All of the limit is gone for good. Nothing is open then, for what is open is part of `left`."""
        return self.left == 0

    @property
    def draining(self) -> bool:
        """All is handed out, and something is still open."""
        return self.free == 0 and self.reserved > 0

    @property
    def near(self) -> bool:
        """So little is free that blocks are short-lived and nobody asks ahead."""
        return self.free < max(NEAR_UNITS, self.usage_limit // NEAR_SHARE)

    def over(self, basis_points: int) -> bool:
        """Strictly more than that share is used: 900 000 000 of 1 000 000 000 is not over 9 000, one more is."""
        return self.used * 10_000 > self.usage_limit * basis_points

    def hand_out(self, n: int) -> Self:
        """A block of n is charged in full."""
        return self._replace(reserved=self.reserved + n)

    def apply(self, more: int) -> Self:
        """Events told `more` of an open block as applied."""
        return self._replace(counted=self.counted + more)

    def close(self, n: int, counted: int, *, settled: int, forfeited: int = 0) -> Self:
        """A block of n leaves the hand, `counted` of it told before; what is neither settled nor forfeited is free again."""
        return self._replace(
            reserved=self.reserved - n,
            counted=self.counted - counted,
            settled=self.settled + settled,
            forfeited=self.forfeited + forfeited,
        )

    def redeem(self, more: int) -> Self:
        """`more` of a forfeited block turns out to have been applied."""
        return self._replace(settled=self.settled + more, forfeited=self.forfeited - more)
