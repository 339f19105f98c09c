"""Which rank the others wait for: compute time beyond the other ranks', the calm skew taken off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.stats.intervals import median_effect
from postmortem.analyses.stats.permutation import late_window

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Lateness:
    """One rank's lateness in a window against the calm one, ms an iteration."""

    column: int
    excess_ms: float
    low_ms: float
    high_ms: float
    calm_ms: float
    p_value: float
    last_share: float
    last_share_calm: float


def lead_of_others(compute_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much longer each rank computes than the median of the others; shape (iterations, ranks), ms."""
    ranks = compute_ms.shape[1]
    others = [np.median(np.delete(compute_ms, r, axis=1), axis=1) for r in range(ranks)]
    lead: NDArray[np.float64] = compute_ms - np.stack(others, axis=1)
    return lead


def alone_last(compute_ms: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether each rank arrived last, and none as late as it; shape (iterations, ranks).

    Times that are recorded in coarse steps are often equal: then none held up the others, whatever the ranks' numbers.
    """
    latest = compute_ms == compute_ms.max(axis=1, keepdims=True)
    alone: NDArray[np.bool_] = latest & (latest.sum(axis=1, keepdims=True) == 1)
    return alone


def lateness(now_ms: NDArray[np.float64], calm_ms: NDArray[np.float64]) -> list[Lateness]:
    """Each rank's lateness, latest first. Arrays of compute time, shape (iterations, ranks), ms.

    A rank that is always a little slower is not late: its calm median is taken off. The p-value
    asks whether such a window stands in the bundle by chance, corrected for the number of ranks.
    """
    now, calm = lead_of_others(now_ms), lead_of_others(calm_ms)
    skew = np.median(calm, axis=0)
    p_values = late_window(np.concatenate([calm, now]), len(calm))
    last, last_calm = (alone_last(part).sum(axis=0) / max(1, len(part)) for part in (now_ms, calm_ms))
    found = []
    for column in range(now.shape[1]):
        excess, low, high = median_effect(now[:, column], calm[:, column], "difference")
        found.append(
            Lateness(
                column,
                excess,
                low,
                high,
                float(skew[column]),
                float(p_values[column]),
                float(last[column]),
                float(last_calm[column]),
            )
        )
    return sorted(found, key=lambda f: -f.excess_ms)
