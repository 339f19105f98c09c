"""How likely a chain is right: of simulated chains whose weakest link had the same grade, how many were.

Right: root cause, rank and every link of the path as simulated. Counted on developing seeds only, before
this table was written: ``python -m benchmarks.incidents.score --seeds 1200-1379 -o DIR`` (and 1000-1134), see
benchmarks/incidents/results.md for other seeds. Simulated incidents are cleaner than real ones: take it as an
upper bound, and look at the grades.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from postmortem.chain.model import Grade

if TYPE_CHECKING:
    from collections.abc import Sequence

    from postmortem.chain.model import Link

# Weakest grade of a chain that names a root cause: (right, of).
RIGHT = {Grade.PROVEN: (833, 833), Grade.SUPPORTED: (95, 95), Grade.CIRCUMSTANTIAL: (10, 11), Grade.MISSING: (0, 0)}


def confidence(links: Sequence[Link]) -> float:
    """The rule of succession over chains with the same weakest grade: (right + 1) / (of + 2), Laplace 1814."""
    weakest = max((link.grade for link in links), key=list(Grade).index)
    right, of = RIGHT[weakest]
    return round((right + 1) / (of + 2), 3)
