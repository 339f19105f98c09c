"""Which rank the others wait for: compute time beyond the other ranks', the calm skew taken off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.stats.intervals import median_effect
from postmortem.analyses.stats.level import ALPHA
from postmortem.analyses.stats.permutation import late_window

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Lateness:
    """One rank's lateness in a window against the calm one, ms an iteration.

    ``low_ms`` is the lower end of its 95 % interval; NaN where it may be chance (a window of hundreds of ranks has
    hundreds of intervals that nobody asks for).
    """

    column: int
    excess_ms: float
    low_ms: float
    calm_ms: float
    p_value: float
    last_share: float
    last_share_calm: float


def lead_of_others(compute_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much longer each rank computes than the median of the others; shape (iterations, ranks), ms.

    In the order of size a rank's others are all without its own place: one sort serves all ranks. Two at least.
    """
    order = np.argsort(compute_ms, axis=1, kind="stable")
    place = np.argsort(order, axis=1, kind="stable")
    in_order = np.take_along_axis(compute_ms, order, axis=1)
    others = compute_ms.shape[1] - 1
    middle = [np.take_along_axis(in_order, at + (place <= at), axis=1) for at in ((others - 1) // 2, others // 2)]
    lead: NDArray[np.float64] = compute_ms - np.mean(middle, axis=0)
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
    excess = np.median(now, axis=0) - skew
    found = []
    for column, p_value in enumerate(p_values.tolist()):
        beyond = p_value <= ALPHA
        low = median_effect(now[:, column], calm[:, column], "difference")[1] if beyond else float("nan")
        found.append(
            Lateness(
                column,
                float(excess[column]),
                low,
                float(skew[column]),
                p_value,
                float(last[column]),
                float(last_calm[column]),
            )
        )
    return sorted(found, key=lambda f: -f.excess_ms)
