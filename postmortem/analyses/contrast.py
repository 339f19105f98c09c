"""What a series is where a condition held, against where it did not, neighbours in time kept together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from postmortem.analyses.association import correlation
from postmortem.analyses.stats.changepoint import SHORTEST
from postmortem.analyses.stats.intervals import mean_effect, median_effect

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Contrast:
    """The level where it held and where not, their difference with a 95 % interval, and its two-sided p."""

    held: float
    otherwise: float
    difference: float
    low: float
    high: float
    p_value: float
    n_held: int
    n_otherwise: int


def contrast(values: NDArray[np.float64], held: NDArray[np.bool_], of: Literal["median", "mean"]) -> Contrast | None:
    """``values`` where ``held`` against the others, in order of time; missing values are left out.

    p is that of the rank correlation with the condition (Mann's and Whitney's statistic), 1 where nothing varies.
    None where either side has fewer values than say something of a level.
    """
    told = ~np.isnan(values)
    values, held = values[told], held[told]
    now, calm = values[held], values[~held]
    if min(now.size, calm.size) < SHORTEST:
        return None
    level = np.median if of == "median" else np.mean
    effect = median_effect(now, calm, "difference", lasting=True) if of == "median" else mean_effect(now, calm)
    found = correlation(held.astype(np.float64), values)
    p_value = 1.0 if found is None else found.p_value
    return Contrast(float(level(now)), float(level(calm)), *effect, p_value, now.size, calm.size)
