"""Counts of arrivals: a surge at the end is found, and chance is called chance."""

from __future__ import annotations

import numpy as np
import pytest

from postmortem.analyses.arrivals import rate_difference, surge


def test_a_burst_at_the_end() -> None:
    """Ten in the last two iterations, after one in ten: found where it begins."""
    counts = np.zeros(102)
    counts[5:100:10] = 1
    counts[-2:] = 5
    found = surge(counts)
    assert found is not None
    assert found == (100, 0.001)  # of 999 draws none came near


def test_against_every_way_to_throw() -> None:
    """One stretch only (21 iterations), four arrivals, two at the end: p is the binomial tail, summed by hand."""
    counts = np.zeros(21)
    counts[[3, 9]] = 1
    counts[-1] = 2
    found = surge(counts)
    assert found is not None
    # at least two of four fall on the last of 21 places
    q = 1 / 21
    tail = 1 - (1 - q) ** 4 - 4 * q * (1 - q) ** 3
    assert found == (20, pytest.approx(tail, abs=3 * np.sqrt(tail / 999)))


@pytest.mark.slow
def test_p_is_calibrated() -> None:
    """On Poisson arrivals with nothing in them, p is below 5 % in no more than 5 % of 500 runs (and chance)."""
    hits = 0
    for seed in range(500):
        found = surge(np.random.default_rng(seed).poisson(0.3, 120).astype(float))
        hits += found is not None and found[1] <= 0.05
    assert hits <= 25 + 2 * np.sqrt(500 * 0.05 * 0.95)


@pytest.mark.parametrize("counts", [np.zeros(5), np.zeros(60), np.concatenate([np.ones(40), np.zeros(20)])])
def test_nothing_rose(counts: np.ndarray) -> None:
    """Too short, empty, or fewer at the end: nothing."""
    assert surge(counts) is None


def test_rate_difference() -> None:
    """Four an iteration against one: three more, and an interval around it."""
    more, low, high = rate_difference(np.full(25, 4.0), np.full(100, 1.0), np.ones(25), np.ones(100))
    assert more == 3.0
    assert (low, high) == (pytest.approx(3 - 1.96 * np.sqrt(0.16 + 0.01)), pytest.approx(3 + 1.96 * np.sqrt(0.17)))


def test_longer_iterations_see_more_arrivals() -> None:
    """Twice as many an iteration, in iterations that last twice as long: the same rate, no surge."""
    counts = np.concatenate([np.tile([0.0, 1.0], 200), np.ones(64)])
    lasted = np.concatenate([np.ones(400), np.full(64, 2.0)])
    found = surge(counts, lasted)
    assert found is None or found[1] > 0.05
    alone = surge(counts)
    assert alone is not None
    assert alone[1] < 0.05
