"""Permutation tests that keep neighbours in time together, since they are not independent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.stats.intervals import block_length

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 999  # the smallest p is 0.001
SEED = 20_260_102  # fixed: the same bundle gives the same p


def p_of(observed: float, drawn: NDArray[np.float64]) -> float:
    """(1 + draws as high) / (1 + draws): never 0 (Phipson and Smyth 2010)."""
    return float((1 + np.count_nonzero(drawn >= observed)) / (1 + drawn.size))


def block_shuffles(n: int, resamples: int = RESAMPLES, seed: int = SEED) -> NDArray[np.int64]:
    """Orders of n places in which blocks of n^(1/3) neighbours stay together; shape (resamples, n).

    The series is cut at a random offset (circularly), so that no block border is fixed.
    """
    rng = np.random.default_rng(seed)
    length = block_length(n)
    blocks = -(-n // length)
    orders = np.argsort(rng.random((resamples, blocks)), axis=1)
    places = (orders[:, :, None] * length + np.arange(length)).reshape(resamples, -1)
    kept = places[places < n].reshape(resamples, n)
    result: NDArray[np.int64] = (kept + rng.integers(0, n, size=(resamples, 1))) % n
    return result


def rank_exchange(lateness: NDArray[np.float64], resamples: int = RESAMPLES, seed: int = SEED) -> NDArray[np.float64]:
    """p of each rank: is it late more than if ranks were exchangeable? Shape (iterations, ranks) → (ranks,).

    Within blocks of neighbouring iterations the ranks' columns are relabelled at random. The
    statistic is the largest mean lateness of any rank, so that the p-values are corrected for
    the number of ranks (Westfall and Young 1993, single step).
    """
    n, ranks = lateness.shape
    length = block_length(n)
    starts = np.arange(0, n, length)
    sums = np.add.reduceat(lateness, starts, axis=0)
    rng = np.random.default_rng(seed)
    labels = np.argsort(rng.random((resamples, starts.size, ranks)), axis=2)
    drawn = np.take_along_axis(np.broadcast_to(sums, labels.shape), labels, axis=2).sum(axis=1).max(axis=1) / n
    means = lateness.mean(axis=0)
    return np.array([p_of(float(m), drawn) for m in means])
