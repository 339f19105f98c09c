"""Where a series changed its level, and whether it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.stats.permutation import block_shuffles, p_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHORTEST = 5  # the median of fewer values says nothing of a level


@dataclass(frozen=True)
class ChangePoint:
    """``index`` is where the new level begins; ``p_value`` is corrected for having looked everywhere."""

    index: int
    rises: bool
    p_value: float


def _scores(ranks: NDArray[np.float64], shortest: int) -> NDArray[np.float64]:
    """Standardised difference of mean ranks after and before each split; shape (..., splits)."""
    n = ranks.shape[-1]
    after = np.arange(n - shortest, shortest - 1, -1)  # values after a split at n - after
    before = n - after
    tail = np.cumsum(ranks[..., ::-1], axis=-1)[..., shortest - 1 : n - shortest][..., ::-1]
    mean = (n + 1) / 2
    # Wilcoxon's rank sum, standardised: variance n_a n_b (n + 1) / 12.
    scores: NDArray[np.float64] = (tail - after * mean) / np.sqrt(after * before * (n + 1) / 12)
    return scores


def change_point(values: NDArray[np.float64], shortest: int = SHORTEST) -> ChangePoint | None:
    """The split after which values are most clearly higher (or lower), by Wilcoxon's rank sum.

    Pettitt's test (1979) with the standardised statistic, so that a short new level at the end
    counts as well as a long one; its p-value from shuffling blocks of neighbours. None where the
    series is too short for two levels.
    """
    n = values.size
    if n < 2 * shortest:
        return None
    order = np.argsort(values, kind="stable")
    ranks = np.empty(n)
    ranks[order] = np.arange(1, n + 1)
    unique, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    if unique.size < n:  # ties share their mean rank
        sums = np.bincount(inverse, weights=ranks)
        ranks = (sums / counts)[inverse]
    scores = _scores(ranks, shortest)
    best = int(np.argmax(np.abs(scores)))
    drawn = np.abs(_scores(ranks[block_shuffles(n)], shortest)).max(axis=1)
    return ChangePoint(best + shortest, bool(scores[best] > 0), p_of(float(abs(scores[best])), drawn))
