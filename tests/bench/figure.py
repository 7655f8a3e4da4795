"""One measured figure, the bar it has to pass, and whether it does."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Figure:
    """`value` in `unit` against `bar`: at least it, or at most it. `beside` are plain facts of the same run, for people."""

    name: str
    value: float
    unit: str  # "ratio", "ms", "s", "MB"
    bar: float
    passes: Literal["at least", "at most"] = "at least"
    beside: dict[str, str] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether the bar is passed."""
        return self.value >= self.bar if self.passes == "at least" else self.value <= self.bar

    def written(self) -> dict[str, object]:
        """As it stands in bench.json."""
        return {"name": self.name, "value": round(self.value, 4), "unit": self.unit, "bar": self.bar, "holds": self.holds}
