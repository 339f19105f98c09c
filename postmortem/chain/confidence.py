"""How likely a chain is right: of simulated chains whose weakest link had the same grade, how many were.

Right: root cause, rank and every link of the path as simulated. Counted on developing seeds only:
``python -m benchmarks.incidents.score --seeds 1000-1259 -o DIR``; benchmarks/incidents/results.md tells of other seeds.
Simulated incidents are cleaner than real ones: take it as an upper bound, and look at the grades.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from postmortem.chain.model import Grade

if TYPE_CHECKING:
    from collections.abc import Sequence

    from postmortem.chain.model import Link

# Weakest grade of a chain that names a root cause: (right, of).
RIGHT = {Grade.PROVEN: (1175, 1175), Grade.SUPPORTED: (16, 16), Grade.CIRCUMSTANTIAL: (7, 7), Grade.MISSING: (0, 0)}


def confidence(links: Sequence[Link]) -> float:
    """The rule of succession over chains with the same weakest grade: (right + 1) / (of + 2), Laplace 1814."""
    weakest = max((link.grade for link in links), key=list(Grade).index)
    right, of = RIGHT[weakest]
    return round((right + 1) / (of + 2), 3)
