"""Windows: stretches of an engine's iterations."""

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
