"""What a collective costs once all have arrived: latency and bandwidth, and when the fabric was slower."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from postmortem.analyses.stats.changepoint import SHORTEST, change_point
from postmortem.analyses.stats.intervals import median_effect

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVEL = 0.05  # the customary level, of p-values corrected for the splits made
PAIRS = 2_000  # messages held against each other for the line: two million pairs, a quarter of a second
SEED = 20_260_103  # which messages, where there are more


@dataclass(frozen=True)
class Line:
    """time = alpha + bytes / beta: ``alpha_us`` and ``beta_gbps`` (GB/s), each (value, low, high) at 95 %.

    beta is infinite where time does not grow with size.
    """

    alpha_us: tuple[float, float, float]
    beta_gbps: tuple[float, float, float]
    sizes: int
    messages: int


def alpha_beta(size: NDArray[np.int64], transfer_ns: NDArray[np.int64]) -> Line | None:
    """The line through transfers of several sizes (Hockney 1994), by Theil and Sen; None of fewer than two sizes."""
    from scipy.stats import theilslopes

    sizes = np.unique(size).size
    if sizes < 2 or size.size < 2 * SHORTEST:
        return None
    if size.size > PAIRS:
        kept = np.sort(np.random.default_rng(SEED).choice(size.size, PAIRS, replace=False))
        size, transfer_ns = size[kept], transfer_ns[kept]
        if np.unique(size).size < 2:
            return None
    x, y = size.astype(np.float64), transfer_ns.astype(np.float64)
    slope, _, low, high = theilslopes(y, x, 0.95)

    def alpha(s: float) -> float:
        return float(np.median(y - s * x)) / 1e3

    def beta(s: float) -> float:
        return float("inf") if s <= 0 else 1 / float(s)  # bytes a ns are GB/s

    return Line((alpha(slope), alpha(high), alpha(low)), (beta(slope), beta(high), beta(low)), sizes, int(size.size))


@dataclass(frozen=True)
class Spell:
    """Iterations from ``first`` up to, and without, ``stop`` (indices): the fabric's regime, and transfer time
    over the normal one: (ratio, low, high). ``p_value`` is of the change that set it apart, NaN of a lone spell.
    """

    first: int
    stop: int
    regime: Literal["normal", "congested", "degraded"]
    ratio: tuple[float, float, float]
    p_value: float


def fabric_regimes(transfer_ms: NDArray[np.float64]) -> list[Spell]:
    """Transfer time an iteration, cut where it changed its level beyond chance.

    The normal level is that of the longest spell. A spell is slow where the 95 % interval of its ratio to that
    lies above 1 and its median is one that fewer than 1 in 40 normal iterations reach (else the difference,
    real as it is, drowns in what is normal). It is *congested* if transfers were normal again after it,
    *degraded* if they stayed slow up to the end.
    """
    cuts, p_values = [0], [float("nan")]
    for index, p in _cuts(transfer_ms, 0, 1):
        cuts.append(index)
        p_values.append(p)
    cuts.append(transfer_ms.size)
    spans = list(pairwise(cuts))
    if not transfer_ms.size:
        return []
    longest = max(spans, key=lambda s: s[1] - s[0])
    usual = transfer_ms[slice(*longest)]
    ratios = [
        (1.0, 1.0, 1.0) if span == longest else median_effect(transfer_ms[slice(*span)], usual, "ratio")
        for span in spans
    ]
    reach = float(np.quantile(usual, 0.975))  # the upper end of the customary 95 %
    slow = [
        ratio[1] > 1 and float(np.median(transfer_ms[slice(*span)])) > reach
        for span, ratio in zip(spans, ratios, strict=True)
    ]
    if len(p_values) > 1:
        p_values[0] = p_values[1]  # the first spell is told from the second by the same change
    spells = []
    for i, (span, ratio, p) in enumerate(zip(spans, ratios, p_values, strict=True)):
        regime: Literal["normal", "congested", "degraded"] = "normal"
        if slow[i]:
            regime = "congested" if not all(slow[i:]) else "degraded"
        spells.append(Spell(*span, regime, ratio, p))
    return spells


def _cuts(values: NDArray[np.float64], first: int, looks: int) -> list[tuple[int, float]]:
    """Binary segmentation: change points that stay significant when corrected for the splits before them."""
    found = change_point(values)
    if found is None or found.p_value * looks > LEVEL:
        return []
    left, right = values[: found.index], values[found.index :]
    here = (first + found.index, min(1.0, found.p_value * looks))
    return [*_cuts(left, first, 2 * looks), here, *_cuts(right, first + found.index, 2 * looks)]
