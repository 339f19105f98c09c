"""Windows: stretches of an engine's iterations."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """Iterations from ``first`` up to, and without, ``stop``."""

    first: int
    stop: int
