"""Where a series changed its level, and whether it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.stats.median_mad import mad, median
from postmortem.analyses.stats.permutation import block_shuffles, p_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHORTEST = 5  # the median of fewer values says nothing of a level
# A value farther out than this counts as this far, so that one spike does not make a level. Ten MADs
# are 6.7 standard deviations of normal data: levels that far apart are told apart all the same.
CLIP = 10.0
# Shuffles of a longer series are drawn on means of neighbours, this many: a stretch of SHORTEST values
# still fills half a mean of a series ten times as long, and a shuffle costs what a thousand values cost.
LONGEST = 1000


@dataclass(frozen=True)
class ChangePoint:
    """``index`` is where the new level begins; ``p_value`` is corrected for having looked everywhere."""

    index: int
    rises: bool
    p_value: float


def _scores(values: NDArray[np.float64], shortest: int) -> NDArray[np.float64]:
    """Difference of the means after and before each split over its scale; shape (..., splits)."""
    n = values.shape[-1]
    after = np.arange(n - shortest, shortest - 1, -1)  # values after a split at n - after
    before = n - after
    tail = np.cumsum(values[..., ::-1], axis=-1)[..., shortest - 1 : n - shortest][..., ::-1]
    whole = values.sum(axis=-1, keepdims=True)
    scores: NDArray[np.float64] = (tail / after - (whole - tail) / before) / np.sqrt(1 / after + 1 / before)
    return scores


def change_point(values: NDArray[np.float64], shortest: int = SHORTEST) -> ChangePoint | None:
    """The split after which values are most clearly higher (or lower).

    The standardised difference of means (so that a short new level at the end counts as well as a
    long one) of values clipped at CLIP MADs; its p-value from shuffling blocks of neighbours. None
    where the series is too short for two levels, or does not vary.

    Blocks of n^(1/3) forget what lasts longer: of 100 series of one level, 5 show a change at 0.05 where neighbours are
    independent, 10 where they correlate by 0.5, and 30 by 0.8. Blocks as long as neighbours go together halve that, but
    no longer find a level that comes and goes: 20 deviations for a fifth of 400 values, by 0.8, are found in all of 50
    runs by these blocks and in none by those.
    """
    n = values.size
    if n < 2 * shortest:
        return None
    centre, spread = median(values), mad(values)
    away = values - centre  # so that sums keep their digits where the level is high and changes little
    reach = CLIP * spread if spread > 0 else float(np.abs(away).max())
    if reach == 0:
        return None
    clipped = np.clip(away, -reach, reach)
    scores = _scores(clipped, shortest)
    best = int(np.argmax(np.abs(scores)))
    width = -(-n // LONGEST)
    means = clipped[n % width :].reshape(-1, width).mean(axis=1)  # where n is no multiple, the oldest values go
    fewest = -(-shortest // width)
    drawn = np.abs(_scores(means[block_shuffles(means.size)], fewest)).max(axis=1)
    observed = float(abs(scores[best])) if width == 1 else float(np.abs(_scores(means, fewest)).max())
    return ChangePoint(best + shortest, bool(scores[best] > 0), p_of(observed, drawn))
