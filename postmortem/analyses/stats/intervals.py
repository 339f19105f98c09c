"""Intervals of an effect by the moving-block bootstrap: neighbours in time are not independent."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from postmortem.analyses.stats.level import CONFIDENCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 999  # (RESAMPLES + 1) * 0.025 is whole: exact percentiles
SEED = 20_260_101  # fixed: the same bundle gives the same interval
AT_ONCE = 2_000_000  # values drawn at once: some tens of megabytes, however many iterations a recording has


def block_length(n: int) -> int:
    """The usual n^(1/3) for the bootstrap of a location (Künsch 1989; Lahiri 2003, ch. 7)."""
    return max(1, int(n ** (1 / 3) + 0.5))


def lasting_block_length(values: NDArray[np.float64]) -> int:
    """Blocks for what lasts: the usual length, times (2 r / (1 - r²))^(2/3) where neighbours correlate by r.

    Carlstein 1986, section 4, for a series that forgets as fast as r says. Four blocks at the least. ``values`` has
    shape (n,) or (n, kinds).
    """
    n = len(values)
    away = values - values.mean(axis=0)
    spread = float((away * away).sum())
    r = min(0.99, max(0.0, float((away[1:] * away[:-1]).sum()) / spread)) if spread > 0 else 0.0
    longer = max(1.0, (2 * r / (1 - r * r)) ** (2 / 3))
    return int(max(1, min(round(block_length(n) * longer), n // 4)))


def _resampled_medians(values: NDArray[np.float64], length: int, rng: np.random.Generator) -> NDArray[np.float64]:
    n = values.size
    blocks = -(-n // length)
    starts = rng.integers(0, n - length + 1, size=(RESAMPLES, blocks))
    # Places in the order of size stand for the values: numbers of 32 bits are what processors sort fastest.
    order = np.argsort(values, kind="stable")
    place = np.empty(n, np.uint32)
    place[order] = np.arange(n)
    windows = np.lib.stride_tricks.sliding_window_view(place, length)
    middle = [
        np.sort(windows[some].reshape(len(some), -1)[:, :n], axis=1)[:, [(n - 1) // 2, n // 2]]
        for some in np.array_split(starts, -(-RESAMPLES * n // AT_ONCE))
    ]
    result: NDArray[np.float64] = values[order][np.concatenate(middle)].mean(axis=1)
    return result


def median_effect(
    now: NDArray[np.float64], calm: NDArray[np.float64], kind: Literal["ratio", "difference"], *, lasting: bool = False
) -> tuple[float, float, float]:
    """Median of ``now`` against that of ``calm``: (effect, low, high), a 95 % percentile interval.

    A ratio over a calm median of 0 is infinite, and its bounds may be NaN. ``lasting``: blocks as long as neighbours go
    together. NaN where either is empty.
    """
    return _median_effect(*(np.asarray(values, np.float64).tobytes() for values in (now, calm)), kind, lasting)


# The chains of one incident ask for the same, each for some thirty: a thousand values on either side are 16 KB.
@lru_cache(maxsize=128)
def _median_effect(
    now_bytes: bytes, calm_bytes: bytes, kind: Literal["ratio", "difference"], lasting: bool
) -> tuple[float, float, float]:
    now, calm = np.frombuffer(now_bytes), np.frombuffer(calm_bytes)
    if not now.size or not calm.size:
        return float("nan"), float("nan"), float("nan")
    rng = np.random.default_rng(SEED)
    a, b = (
        _resampled_medians(values, lasting_block_length(values) if lasting else block_length(values.size), rng)
        for values in (now, calm)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        draws = a / b if kind == "ratio" else a - b
        centre = np.median(now) / np.median(calm) if kind == "ratio" else np.median(now) - np.median(calm)
        tail = (1 - CONFIDENCE) / 2
        low, high = np.quantile(draws, [tail, 1 - tail])
    return float(centre), float(low), float(high)


def share_of(part: NDArray[np.float64], whole: NDArray[np.float64]) -> tuple[float, float, float]:
    """Sum of ``part`` over that of ``whole``, value by value: (share, low, high), a 95 % percentile interval.

    NaN where the whole is nothing.
    """
    n = part.size
    if not n or whole.sum() <= 0:
        return float("nan"), float("nan"), float("nan")
    length = block_length(n)
    starts = np.random.default_rng(SEED).integers(0, n - length + 1, size=(RESAMPLES, -(-n // length)))
    parts, wholes = (np.concatenate([[0.0], np.cumsum(v)]) for v in (part, whole))
    drawn, of = ((c[starts + length] - c[starts]).sum(axis=1) for c in (parts, wholes))
    shares = drawn[of > 0] / of[of > 0]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(shares, [tail, 1 - tail])
    return float(part.sum() / whole.sum()), float(low), float(high)


def mean_effect(now: NDArray[np.float64], calm: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean of ``now`` less that of ``calm``: (difference, low, high), a 95 % percentile interval.

    For counts that are mostly nothing: their median says nothing. Blocks are as long as neighbours go together. NaN
    where either is empty.
    """
    if not now.size or not calm.size:
        return float("nan"), float("nan"), float("nan")
    rng = np.random.default_rng(SEED)
    means = []
    for values in (now, calm):
        length = lasting_block_length(values)
        starts = rng.integers(0, values.size - length + 1, size=(RESAMPLES, -(-values.size // length)))
        run = np.concatenate([[0.0], np.cumsum(values)])
        means.append((run[starts + length] - run[starts]).mean(axis=1) / length)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means[0] - means[1], [tail, 1 - tail])
    return float(now.mean() - calm.mean()), float(low), float(high)
