"""What if: the iteration with some ranks' excess taken off, the waiting of the others replayed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.stats.intervals import median_effect

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


def share_removed(
    now_ms: NDArray[np.float64], replayed_ms: NDArray[np.float64], calm_ms: NDArray[np.float64]
) -> tuple[float, float, float]:
    """How much of the inflation goes in the replay: (share, low, high); 1 is all of it.

    Inflation is the median of ``now_ms`` over that of ``calm_ms``; the interval is of the part
    that goes, over the inflation as measured. NaN where there is no inflation.
    """
    inflation = float(np.median(now_ms) - np.median(calm_ms))
    if inflation <= 0:
        return float("nan"), float("nan"), float("nan")
    gone, low, high = median_effect(now_ms, replayed_ms, "difference")
    return gone / inflation, low / inflation, high / inflation
