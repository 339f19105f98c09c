"""Which rank the others wait for, over a whole recording, and what the iterations would be without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.counterfactual import without_excess
from postmortem.analyses.lateness import alone_last, lead_of_others
from postmortem.analyses.stats.changepoint import SHORTEST, change_point, raised_spell
from postmortem.analyses.stats.intervals import block_length, share_of
from postmortem.analyses.stats.level import ALPHA
from postmortem.analyses.stats.permutation import RESAMPLES, SEED, p_of
from postmortem.analyses.stretch import stretch

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Straggler:
    """One rank's lateness over a recording, and the iteration without it.

    ``last`` of ``iterations`` it alone arrived last; ``p_value`` by exchangeable ranks, corrected for their number.
    ``excess_ms`` is its compute beyond the other ranks' median in the middle iteration, ``unusual`` if 39 of
    40 calm ones have less. ``share`` (with ``low``, ``high``) is how much of the time that iterations last
    beyond their peers' pace goes if that excess goes, ``saved_ms`` the same in ms an iteration.
    """

    column: int
    iterations: int
    last: int
    p_value: float
    excess_ms: float
    unusual: bool
    saved_ms: float
    share: float
    low: float
    high: float

    @property
    def slows_all(self) -> bool:
        """It arrives last beyond chance, and more of the excess is surely its own than all others' together."""
        return self.unusual and self.p_value <= ALPHA and self.low > 1 / 2


def beyond_peers(compute_ms: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much longer the slowest rank computes than half of the ranks do; shape (iterations,), ms."""
    lower = np.sort(compute_ms, axis=1)[:, (compute_ms.shape[1] - 1) // 2]  # of two ranks the faster
    beyond: NDArray[np.float64] = compute_ms.max(axis=1) - lower
    return beyond


def apart(compute_ms: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Iterations before ranks lay farther apart, and those in which they did until they came together again.

    Indices; shape (iterations, ranks), ms of compute. None where they surely never did. Compute alone is looked at, not
    the iterations' length: a scheduler that answers with a smaller batch shortens them again.
    """
    beyond = beyond_peers(compute_ms)
    found = _since_a_change(beyond)
    if found is not None:
        return found
    once = raised_spell(beyond)  # a short one, far from either end, is no clear change of level
    if once is None or 2 * once.p_value > ALPHA or once.first < SHORTEST:  # corrected for both looks
        return None
    return np.arange(once.first), np.arange(once.first, once.stop)


def _since_a_change(beyond: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    change = change_point(beyond)
    if change is None or change.p_value > ALPHA:
        return None
    until = beyond.size if change.rises else change.index  # early in a recording, its end may be the clearest change
    found = stretch(beyond[:until])
    if found is None or found.change.p_value * (1 if change.rises else 2) > ALPHA:
        return None
    now = np.arange(found.change.index, until)
    end = change_point(beyond[now]) if change.rises else None
    if end is not None and not end.rises and 2 * end.p_value <= ALPHA:  # corrected for the split before it
        now = now[: end.index]
    return found.calm, now


def stragglers(compute_ms: NDArray[np.float64], calm_ms: NDArray[np.float64] | None = None) -> list[Straggler]:
    """Every rank's part, the largest share first; shapes (iterations, ranks), ms of compute.

    Against ``calm_ms`` a rank's constant skew is taken off: a rank that is always a little slower is not
    late. What if: every collective starts at the latest arrival, so an iteration without one rank's excess
    is as long as the slowest of the others, or as that rank at the others' median. NaN shares where no
    rank is beyond its peers.
    """
    n, ranks = compute_ms.shape
    skew = np.zeros(ranks) if calm_ms is None else np.median(lead_of_others(calm_ms), axis=0)
    fair = compute_ms - skew
    lead = lead_of_others(fair)
    last = alone_last(fair)
    p_values = _more_often(last)
    beyond = beyond_peers(fair)
    # As far as a calm iteration goes in 39 of 40 (the upper end of the customary 95 %), anybody may be late.
    usual = np.zeros(ranks) if calm_ms is None else np.quantile(lead_of_others(calm_ms) - skew, 0.975, axis=0)
    counts = last.sum(axis=0)
    found = []
    for column in range(ranks):
        replayed = without_excess(fair, np.zeros_like(fair), {column: 0.0})
        saved = fair.max(axis=1) - replayed
        excess = float(np.median(lead[:, column]))
        found.append(
            Straggler(
                column, n, int(counts[column]), p_values[column], excess, bool(excess > usual[column]),
                float(saved.mean()), *share_of(saved, beyond),
            )
        )  # fmt: skip
    return sorted(found, key=lambda s: (-np.nan_to_num(s.share), s.column))


def _more_often(last: NDArray[np.bool_]) -> list[float]:
    """p of each rank: is it last more often than if ranks were exchangeable?

    Within blocks of neighbouring iterations the ranks keep their order, and each block's ranks are
    relabelled at random: what lasts a few iterations is no habit.
    """
    n = len(last)
    rng = np.random.default_rng(SEED)
    counts = np.add.reduceat(last.astype(np.int32), np.arange(0, n, block_length(n)), axis=0)
    # The largest total of any rank, so that each p is corrected for the number of ranks (Westfall and Young 1993).
    drawn = np.array([rng.permuted(counts, axis=1).sum(axis=0).max() for _ in range(RESAMPLES)], np.float64)
    return [p_of(float(total), drawn) for total in counts.sum(axis=0)]
