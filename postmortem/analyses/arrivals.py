"""Counts an iteration: whether more came at the end than the rate before would bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST = 20  # iterations that a calm rate is learnt from: its error is then below a quarter of the count's deviation


def surge(counts: NDArray[np.float64], exposure: NDArray[np.float64] | None = None) -> tuple[int, float] | None:
    """The stretch at the end that holds the most surprising number of arrivals: (its first index, p).

    ``exposure`` is how long each iteration lasted (in any unit; all alike where None): rates are by it.
    Stretches of 1, 2, 4, 8 … iterations are looked at, each against the rate of all before it; arrivals are
    Poisson, or wider where the calm counts vary more than Poisson ones do (their variance over their mean).
    The chance to see as many includes that the rate is itself only estimated (so the tail is that of a negative
    binomial: a Poisson count whose rate has a Gamma distribution), and is corrected for the lengths looked at
    (Bonferroni). None where fewer than FEWEST iterations would be left to learn from, or nothing rose.
    """
    from scipy.stats import nbinom

    lasted = np.ones(counts.size) if exposure is None else exposure
    lengths = [n for n in (1 << k for k in range(31)) if counts.size - n >= FEWEST]
    best: tuple[int, float] | None = None
    for n in lengths:
        calm, came = counts[:-n], float(counts[-n:].sum())
        wider = max(1.0, float(calm.var() / calm.mean())) if calm.sum() else 1.0
        # half an arrival: Jeffreys' prior, so that a calm of zeros has a rate too
        seen = calm.sum() / wider + 0.5
        before, during = float(lasted[:-n].sum()), float(lasted[-n:].sum())
        if came / during <= calm.sum() / before:
            continue
        p = float(nbinom.sf(np.ceil(came / wider) - 1, seen, before / (before + during))) * len(lengths)
        if best is None or p < best[1]:
            best = counts.size - n, min(1.0, p)
    return best


def rate_difference(
    now: NDArray[np.float64], calm: NDArray[np.float64], lasted: NDArray[np.float64], lasted_calm: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Difference of two rates of arrivals: (more, low, high), 95 %, from the counts' own deviations."""
    during, before = float(lasted.sum()), float(lasted_calm.sum())
    more = float(now.sum() / during - calm.sum() / before)
    half = 1.96 * float(np.sqrt(max(now.sum(), 1.0) / during**2 + max(calm.sum(), 1.0) / before**2))
    return more, more - half, more + half
