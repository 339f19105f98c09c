"""The level of a series below which something no longer happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.stats.changepoint import SHORTEST
from postmortem.analyses.stats.intervals import AT_ONCE, RESAMPLES, SEED, block_length
from postmortem.analyses.stats.level import CONFIDENCE
from postmortem.analyses.stats.permutation import every_turn, mid_ranks

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Threshold:
    """``at`` lies between ``low`` and ``high``, in the unit of the series.

    ``separation`` is Youden's index: the share of what was chosen that lies above, less the share of what was not;
    1 where the level tells the two apart wholly. ``above`` and ``below``: how often it was chosen there. ``rises``:
    levels were higher where it was chosen, over all pairs. ``p_value``: of a choice that does not know of the level,
    one-sided.
    """

    at: float
    low: float
    high: float
    separation: float
    above: float
    below: float
    rises: bool
    p_value: float


def threshold(level: NDArray[np.float64], chosen: NDArray[np.bool_]) -> Threshold | None:
    """Above which level it was chosen: the lowest cut with the largest Youden's index (Youden 1950), in order of time.

    Where the cut separates wholly, ``low`` and ``high`` are the values on both sides of it: what was seen says no more
    and no less. Else they are a 95 % percentile interval, blocks of neighbours resampled, of the values beside the cut.
    p turns the choices round in time; the statistic is the sum of the levels' ranks where it was chosen (Mann and
    Whitney). None where it was chosen, or not, less often than says something, or the level never varies.
    """
    if min(int(chosen.sum()), int((~chosen).sum())) < SHORTEST or (level == level[0]).all():
        return None
    values, place = np.unique(level, return_inverse=True)
    counts = np.stack([np.bincount(place[of], minlength=values.size) for of in (chosen, ~chosen)])
    at_best, best = _cuts(counts[None])
    cuts = np.flatnonzero(at_best[0])
    side_by_side = np.split(cuts, np.flatnonzero(np.diff(cuts) > 1) + 1)[0]  # between others there are worse cuts
    low, high = float(values[side_by_side[0]]), float(values[side_by_side[-1] + 1])
    at = (low + high) / 2
    if best[0] < 1:
        low, high = _interval(values, place, chosen)
        low, high = min(low, at), max(high, at)
    turned = every_turn(2 * mid_ranks(level), chosen)
    return Threshold(
        at, low, high, max(0.0, float(best[0])), float(chosen[level > at].mean()), float(chosen[level < at].mean()),
        bool(turned[0] > turned.mean()), float(np.count_nonzero(turned >= turned[0]) / turned.size),
    )  # fmt: skip


def _cuts(counts: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whether the index is largest between each value and the next, and that index, for each sample.

    ``counts`` has shape (samples, 2, values): how often each value was chosen, and not.
    """
    below = np.cumsum(counts, axis=-1)
    missed, kept_out = below[..., :-1][:, 0] / below[:, 0, -1:], below[..., :-1][:, 1] / below[:, 1, -1:]
    index = kept_out - missed  # (1 - missed) - (1 - kept_out)
    best = index.max(axis=-1)
    return index >= best[:, None] - 1e-12, best  # quotients of counts: no two that differ lie so close


def _interval(values: NDArray[np.float64], place: NDArray[np.int64], chosen: NDArray[np.bool_]) -> tuple[float, float]:
    """2.5 and 97.5 % of the values beside the best cut, over samples of blocks that hold both choices."""
    n, size = place.size, values.size
    length = block_length(n)
    starts = np.random.default_rng(SEED).integers(0, n - length + 1, size=(RESAMPLES, -(-n // length)))
    key = place + size * ~chosen
    lows, highs = [], []
    for some in np.array_split(starts, -(-RESAMPLES * max(n, 2 * size) // AT_ONCE)):
        drawn = key[(some[:, :, None] + np.arange(length)).reshape(len(some), -1)[:, :n]]
        drawn += 2 * size * np.arange(len(some))[:, None]
        counts = np.bincount(drawn.ravel(), minlength=2 * size * len(some)).reshape(-1, 2, size)
        at_best, _ = _cuts(counts[counts.any(axis=-1).all(axis=-1)])
        lows.append(values[at_best.argmax(axis=-1)])
        highs.append(values[at_best.shape[-1] - at_best[:, ::-1].argmax(axis=-1)])
    tail = (1 - CONFIDENCE) / 2
    return float(np.quantile(np.concatenate(lows), tail)), float(np.quantile(np.concatenate(highs), 1 - tail))
