"""Median and MAD."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# MAD times this estimates the standard deviation of normal data: 1 / Φ⁻¹(3/4).
NORMAL_CONSISTENCY = 1.482602218505602


def median(values: NDArray[np.float64]) -> float:
    """The median; NaN for no values."""
    return float(np.median(values)) if values.size else float("nan")


def mad(values: NDArray[np.float64]) -> float:
    """Median absolute deviation from the median, unscaled; NaN for no values."""
    return float(np.median(np.abs(values - np.median(values)))) if values.size else float("nan")
