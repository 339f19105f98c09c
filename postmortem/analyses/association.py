"""Whether two series of one rank rise together, neighbours in time kept together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.stats.changepoint import SHORTEST
from postmortem.analyses.stats.intervals import RESAMPLES, SEED, lasting_block_length
from postmortem.analyses.stats.level import CONFIDENCE
from postmortem.analyses.stats.permutation import ROUNDING, every_turn, mid_ranks, p_of, parts_of_block_shuffles

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rises_together(signal: NDArray[np.float64], effect: NDArray[np.float64]) -> tuple[float, float]:
    """Spearman's rank correlation and its one-sided p from shuffling blocks of iterations.

    (0, 1) where either does not vary.

    Blocks of n^(1/3) forget what lasts longer: of 100 pairs of series that have nothing in common, 5 rise together at
    0.05 where neighbours are independent, 6 where they correlate by 0.5, 12 by 0.8 and 20 by 0.95. Turning one series
    in a circle holds the 5, but no longer finds what both have for one stretch and then no more: that is what a stall
    looks like, and there are but n ways to turn.
    """
    a, b = mid_ranks(signal) - (signal.size + 1) / 2, mid_ranks(effect) - (effect.size + 1) / 2
    scale = float(np.sqrt((a @ a) * (b @ b)))
    if scale == 0:
        return 0.0, 1.0
    observed = float(a @ b) / scale
    drawn = np.concatenate([a[some] @ b for some in parts_of_block_shuffles(a.size)]) / scale
    return observed, p_of(observed, drawn)


@dataclass(frozen=True)
class Correlation:
    """Spearman's ``rho`` of ``n`` pairs with a 95 % interval, inside ``groups`` strata; ``p_value`` is two-sided."""

    rho: float
    low: float
    high: float
    p_value: float
    n: int
    groups: int


def correlation(
    a: NDArray[np.float64], b: NDArray[np.float64], within: NDArray[np.int64] | None = None
) -> Correlation | None:
    """Rank correlation of two series in order of time; with ``within``, only of what varies inside its groups.

    Each group's values are ranked among themselves and the ranks scaled to its size, so that a difference between
    groups counts for nothing. The interval resamples blocks of neighbours, the p-value turns the series. Groups of
    fewer than SHORTEST values are left out. None where fewer than twice as many values are left, or either does not
    vary.
    """
    kinds = np.zeros(a.size, np.int64) if within is None else within
    _, group, sizes = np.unique(kinds, return_inverse=True, return_counts=True)
    kept = sizes[group] >= SHORTEST
    a, b, group = a[kept], b[kept], np.unique(group[kept], return_inverse=True)[1]
    if a.size < 2 * SHORTEST:
        return None
    x, y = _scaled_ranks(a, group), _scaled_ranks(b, group)
    scale = float(np.sqrt((x @ x) * (y @ y)))
    if scale == 0:
        return None
    low, high = _interval(x, y)
    return Correlation(float(x @ y) / scale, low, high, _p_either_way(x, y), a.size, int(group.max()) + 1)


def _scaled_ranks(values: NDArray[np.float64], group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mid-ranks inside each group, from -1/2 to 1/2, their mean 0."""
    out = np.empty(values.size)
    order = np.argsort(group, kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        out[part] = (mid_ranks(values[part]) - (part.size + 1) / 2) / part.size
    return out


def _interval(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """95 % percentile interval of the correlation, blocks of neighbouring pairs resampled."""
    n = x.size
    length = max(lasting_block_length(x), lasting_block_length(y))
    starts = np.random.default_rng(SEED).integers(0, n - length + 1, size=(RESAMPLES, -(-n // length)))
    sums = []
    for values in (x, y, x * x, y * y, x * y):
        run = np.concatenate([[0.0], np.cumsum(values)])
        sums.append((run[starts + length] - run[starts]).sum(axis=1) / (starts.shape[1] * length))
    mx, my, xx, yy, xy = sums
    spread = (xx - mx**2) * (yy - my**2)
    drawn = np.divide(xy - mx * my, np.sqrt(np.maximum(spread, 0)), out=np.zeros(RESAMPLES), where=spread > 1e-15)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def _p_either_way(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Two-sided p of the sum of products: the share of all ways to turn one series round in a circle that come as far.

    Two series that both change slowly look alike by chance; turning one leaves every neighbour in place, whatever
    their memory, where blocks shorter than it would make chance look rare. Groups are turned together: ranked inside
    them the values may be exchanged, while one slow change may run through all of them.
    """
    sums = np.abs(every_turn(x, y))
    reached = sums >= abs(float(x @ y)) - ROUNDING * float(np.sqrt((x @ x) * (y @ y)))
    return float(np.count_nonzero(reached) / sums.size)
