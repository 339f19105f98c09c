"""Iterations that got longer: when it began, and what of it is collectives and what is compute."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.stats.changepoint import ChangePoint, change_point
from postmortem.analyses.stats.intervals import median_effect

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Stretch:
    """``calm`` and ``now`` are indices into the series given; times are medians an iteration, ms."""

    calm: NDArray[np.int64]
    now: NDArray[np.int64]
    change: ChangePoint
    total_ms: float
    total_calm_ms: float
    ratio: tuple[float, float, float]


def stretch(total_ms: NDArray[np.float64]) -> Stretch | None:
    """Whether and where iterations got longer, and by how much: (ratio, low, high).

    None where the series is too short to tell, or where it did not get longer.
    """
    found = change_point(total_ms)
    if found is None or not found.rises:
        return None
    calm, now = np.arange(found.index), np.arange(found.index, total_ms.size)
    return Stretch(
        calm,
        now,
        found,
        float(np.median(total_ms[now])),
        float(np.median(total_ms[calm])),
        median_effect(total_ms[now], total_ms[calm], "ratio"),
    )
