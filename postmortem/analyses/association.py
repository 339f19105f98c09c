"""Whether two series of one rank rise together, neighbours in time kept together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.stats.permutation import block_shuffles, p_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mid-ranks: ties share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    upper = np.cumsum(counts)
    mid: NDArray[np.float64] = (upper - (counts - 1) / 2)[inverse]
    return mid


def rises_together(signal: NDArray[np.float64], effect: NDArray[np.float64]) -> tuple[float, float]:
    """Spearman's rank correlation and its one-sided p from shuffling blocks of iterations.

    (0, 1) where either does not vary.
    """
    a, b = _ranks(signal) - (signal.size + 1) / 2, _ranks(effect) - (effect.size + 1) / 2
    scale = float(np.sqrt((a @ a) * (b @ b)))
    if scale == 0:
        return 0.0, 1.0
    observed = float(a @ b) / scale
    drawn = (a[block_shuffles(a.size)] @ b) / scale
    return observed, p_of(observed, drawn)
