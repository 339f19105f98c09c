"""What if: the iteration with some ranks' excess taken off, the waiting of the others replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.stats.changepoint import CLIP
from postmortem.analyses.stats.intervals import share_of
from postmortem.analyses.stats.median_mad import mad, median

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


def without_excess(
    compute_ms: NDArray[np.float64], transfer_ms: NDArray[np.float64], skew_ms: Mapping[int, float]
) -> NDArray[np.float64]:
    """Length of each iteration had some ranks computed as long as the median of the others, ms.

    Every rank waits for the slowest, so the iteration is the slowest rank's compute plus the
    transfer. ``skew_ms`` names the ranks' columns, each with its calm skew, which it keeps; no rank gets
    slower than it was. Shapes (iterations, ranks) → (iterations,).
    """
    others = np.median(np.delete(compute_ms, list(skew_ms), axis=1), axis=1)
    replayed = compute_ms.copy()
    for column, skew in skew_ms.items():
        replayed[:, column] = np.minimum(compute_ms[:, column], others + skew)
    length: NDArray[np.float64] = replayed.max(axis=1) + np.median(transfer_ms, axis=1)
    return length


def as_when_calm(replayed_ms: NDArray[np.float64], calm_ms: NDArray[np.float64]) -> bool:
    """Whether replayed iterations are as long as calm ones: their median no farther off than half of these are."""
    return median(replayed_ms) - median(calm_ms) <= mad(calm_ms)


def share_removed(
    now_ms: NDArray[np.float64], replayed_ms: NDArray[np.float64], calm_ms: NDArray[np.float64]
) -> tuple[float, float, float]:
    """How much of the inflation goes in the replay: (share, low, high); 1 is all of it.

    Inflation is what iterations take beyond the median of ``calm_ms``, added up: a scheduler answers to time spent.
    An iteration farther out than CLIP MADs counts as that far, in both: one hiccup is no inflation. The 95 %
    interval resamples iterations with their replays. NaN where there is no inflation.
    """
    centre, spread = median(now_ms), mad(now_ms)
    reach = centre + CLIP * spread if spread > 0 else np.inf
    now, replayed = np.minimum(now_ms, reach), np.minimum(replayed_ms, reach)
    return share_of(now - replayed, now - median(calm_ms))
