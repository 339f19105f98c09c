"""Permutation tests that keep neighbours in time together, since they are not independent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.stats.intervals import AT_ONCE, block_length

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

RESAMPLES = 999  # the smallest p is 0.001
ROUNDING = 1e-9  # of a statistic: the same sum in another order differs by less
SEED = 20_260_102  # fixed: the same bundle gives the same p


def mid_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mid-ranks: ties share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    upper = np.cumsum(counts)
    mid: NDArray[np.float64] = (upper - (counts - 1) / 2)[inverse]
    return mid


def p_of(observed: float, drawn: NDArray[np.float64]) -> float:
    """(1 + draws as high) / (1 + draws): never 0 (Phipson and Smyth 2010)."""
    reached = drawn >= observed - ROUNDING * abs(observed)
    return float((1 + np.count_nonzero(reached)) / (1 + drawn.size))


def block_shuffles(
    n: int, resamples: int = RESAMPLES, seed: int = SEED, length: int | None = None
) -> NDArray[np.int64]:
    """Orders of n places in which blocks of ``length`` neighbours stay together, n^(1/3) where not given.

    Shape (resamples, n).
    The series is cut at a random offset (circularly), so that no block border is fixed.
    """
    return np.concatenate(list(parts_of_block_shuffles(n, resamples, seed, length)))


def parts_of_block_shuffles(
    n: int, resamples: int = RESAMPLES, seed: int = SEED, length: int | None = None
) -> Iterator[NDArray[np.int64]]:
    """The same orders, so many at a time that a long series fills no memory."""
    rng = np.random.default_rng(seed)
    length = length or block_length(n)
    blocks = -(-n // length)
    orders = np.argsort(rng.random((resamples, blocks)), axis=1)
    offsets = rng.integers(0, n, size=(resamples, 1))
    parts = -(-resamples * n // AT_ONCE)
    for some, cut in zip(np.array_split(orders, parts), np.array_split(offsets, parts), strict=True):
        places = (some[:, :, None] * length + np.arange(length)).reshape(len(some), -1)
        kept: NDArray[np.int64] = places[places < n].reshape(len(some), n)
        kept += cut
        kept[kept >= n] -= n
        yield kept


def every_turn(values: NDArray[np.float64], turned: NDArray[np.float64] | NDArray[np.bool_]) -> NDArray[np.float64]:
    """Sum of the products of two series, for each way to turn the other in a circle; entry 0 turns by nothing.

    Of marks it is the sum of the values at the marked places. Turning leaves all neighbours in place, whatever their
    memory. All n turns at once: a circular correlation, by the fast Fourier transform; sums of whole numbers are exact.
    """
    other = turned.astype(np.float64)
    sums = np.fft.irfft(np.fft.rfft(values) * np.conj(np.fft.rfft(other)), values.size)
    whole: NDArray[np.float64] = np.rint(sums)
    return whole if all(np.array_equal(v, np.rint(v)) for v in (values, other)) else sums


def late_window(lead: NDArray[np.float64], start: int) -> NDArray[np.float64]:
    """p of each column: is its mean from ``start`` on higher than if iterations were exchangeable?

    ``lead`` has shape (iterations, ranks), the calm iterations first. Blocks of neighbouring
    iterations are shuffled, all ranks together; the statistic is the largest rise of any column,
    so that the p-values are corrected for the number of ranks (Westfall and Young 1993, single
    step). Shape (ranks,).
    """
    # Ranks are robust: one huge iteration is one high rank. Ties share theirs, or the later would count as the higher:
    # recorded times are often whole steps of a clock. Sums of ranks are exact, whatever their order.
    ranked = np.apply_along_axis(mid_ranks, 0, lead)
    observed = ranked[start:].sum(axis=0)
    shuffles = block_shuffles(len(lead))
    # A product with marks: picked by place, all values would stand there once a shuffle, gigabytes for 256 ranks.
    late = np.zeros(shuffles.shape)
    np.put_along_axis(late, shuffles[:, start:], 1.0, axis=1)
    drawn = (late @ ranked).max(axis=1)
    return np.array([p_of(float(o), drawn) for o in observed])
