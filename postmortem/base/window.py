"""Windows: stretches of an engine's iterations, and of time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """Iterations from ``first`` up to, and without, ``stop``."""

    first: int
    stop: int

    def __len__(self) -> int:
        return max(0, self.stop - self.first)

    def __contains__(self, iteration: int) -> bool:
        return self.first <= iteration < self.stop


@dataclass(frozen=True)
class TimeWindow:
    """UTC epoch ns from ``start_ns`` up to, and without, ``end_ns``."""

    start_ns: int
    end_ns: int

    def overlaps(self, other: TimeWindow) -> bool:
        """Whether the two share any time."""
        return self.start_ns < other.end_ns and other.start_ns < self.end_ns
