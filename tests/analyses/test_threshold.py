"""The level below which something no longer happened: paper and pencil, scipy's statistic, promises on null data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from postmortem.analyses.threshold import threshold
from tests.analyses.test_association import neighbours
from tests.analyses.test_stats import within_sampling_error

SEEDS = range(500)


def test_separable_by_hand() -> None:
    """Chosen from 128 MiB on, not up to 96: the cut lies between, and nothing else can be said of it."""
    level = np.array([512.0, 256, 128, 96, 64, 32] * 5)
    found = threshold(level, level >= 128)
    assert found is not None
    assert (found.low, found.at, found.high) == (96, 112, 128)
    assert (found.separation, found.above, found.below, found.rises) == (1, 1, 0, True)
    assert found.p_value == pytest.approx(5 / 30)  # of 30 turns of a series that repeats after 6, five move nothing


def test_not_separable_by_hand() -> None:
    """Ten at 100 MiB, eight chosen; ten at 10, one chosen: the index is 8/9 - 2/11, between 10 and 100."""
    rng = np.random.default_rng(1)
    order = rng.permutation(20)
    level = np.array([100.0] * 10 + [10.0] * 10)[order]
    found = threshold(level, np.array([True] * 8 + [False] * 2 + [True] + [False] * 9)[order])
    assert found is not None
    assert (found.at, found.low, found.high) == (55, 10, 100)
    assert found.separation == pytest.approx(8 / 9 - 2 / 11)
    assert (found.above, found.below) == (0.8, 0.1)


def test_two_equally_good_cuts() -> None:
    """Five chosen and five not at 20 MiB, five of each on their sides: both cuts are as good, the middle is told."""
    level = np.repeat([10.0, 20, 20, 30], 5)
    found = threshold(level, np.repeat([False, True, False, True], 5))
    assert found is not None
    assert (found.at, found.separation) == (20, 0.5)
    assert (found.low, found.high) == (10, 30)


def test_between_two_equally_good_cuts_lies_a_worse_one() -> None:
    """1 to 9 not chosen, 10 chosen, 11 not, 12 on chosen: below 10 and below 12 tell nine tenths, below 11 eight."""
    level = np.arange(1.0, 21)
    chosen = np.array([False] * 9 + [True, False] + [True] * 9)
    found = threshold(level, chosen)
    assert found is not None
    assert (found.at, found.separation) == (9.5, 0.9)
    assert (found.above, found.below) == (10 / 11, 0)
    assert found.low <= 9
    assert found.high >= 12


def test_what_wants_little_does_not_rise() -> None:
    """The tactic that runs where memory is short is no tactic that wants it."""
    level = np.arange(40.0)
    found = threshold(level, level < 20)
    assert found is not None
    assert not found.rises
    assert found.p_value > 0.5


@pytest.mark.parametrize(
    ("level", "chosen"),
    [
        (np.arange(20.0), np.arange(20) < 4),
        (np.arange(20.0), np.arange(20) >= 4),
        (np.full(20, 2.0), np.arange(20) < 10),
        (np.array([]), np.array([], bool)),
    ],
)
def test_too_few_or_constant(level: np.ndarray, chosen: np.ndarray) -> None:
    """Chosen four times, or not chosen four times, or a level that never varies: nothing is said."""
    assert threshold(level, chosen) is None


@settings(max_examples=25)
@given(st.integers(0, 10_000))
def test_against_every_cut_and_turn(seed: int) -> None:
    """The separation is Kolmogorov's and Smirnov's of two samples, p that of Mann and Whitney's sum over all turns.

    A rising function of the level takes the figures with it.
    """
    rng = np.random.default_rng(seed)
    level = np.round(rng.exponential(size=40), 1)
    chosen = rng.permutation(40) < 15
    found = threshold(level, chosen)
    assert found is not None
    assert found.separation == pytest.approx(
        stats.ks_2samp(level[chosen], level[~chosen], alternative="less").statistic
    )
    sums = np.array([stats.mannwhitneyu(level[held], level[~held]).statistic
                     for held in (np.roll(chosen, k) for k in range(40))])  # fmt: skip
    assert found.p_value == np.mean(sums >= sums[0])
    assert found.rises == bool(sums[0] > 15 * 25 / 2)
    assert found.low <= found.at <= found.high
    above = level > found.at
    assert found.separation == pytest.approx(max(0, above[chosen].mean() - above[~chosen].mean()))
    twice = threshold(2 * level + 1, chosen)
    assert twice is not None
    assert (twice.low, twice.at, twice.high) == pytest.approx((2 * found.low + 1, 2 * found.at + 1, 2 * found.high + 1))
    assert (twice.separation, twice.p_value) == (found.separation, found.p_value)


def test_fewer_iterations_are_no_surer() -> None:
    """Of a real threshold with exceptions, a third of the iterations gives larger p-values on the whole."""
    whole, part = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        level = neighbours(rng, 120, 0.5)
        chosen = (level >= 0.5) ^ (rng.random(120) < 0.3)
        kept = np.sort(rng.permutation(120)[:40])
        one, other = threshold(level, chosen), threshold(level[kept], chosen[kept])
        if one is not None and other is not None:
            whole.append(one.p_value)
            part.append(other.p_value)
    assert len(whole) > 50
    assert np.median(part) > np.median(whole)


@pytest.mark.slow
@pytest.mark.parametrize("along", [0.0, 0.5])
def test_p_is_uniform_where_level_does_not_matter(along: float) -> None:
    """500 seeded choices that know nothing of the level, neighbours alike or not."""
    p_values = []
    for seed in SEEDS:
        rng = np.random.default_rng([seed, 3])
        found = threshold(neighbours(rng, 120, along), neighbours(rng, 120, along) > 0.4)
        if found is not None:
            p_values.append(found.p_value)
    assert len(p_values) >= 495
    for level in (0.05, 0.2, 0.5):
        assert within_sampling_error(sum(p <= level for p in p_values), len(p_values), level)
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("exceptions", [0.0, 0.02, 0.1, 0.3])
@pytest.mark.parametrize("along", [0.0, 0.5])
def test_interval_covers(exceptions: float, along: float) -> None:
    """The true threshold lies in at least 90 of 100 intervals, however many choices ignore it."""
    covered = told = 0
    for seed in range(100):
        rng = np.random.default_rng([seed, 4])
        level = 300 + 100 * neighbours(rng, 80, along)
        found = threshold(level, (level >= 250) ^ (rng.random(80) < exceptions))
        if found is not None:
            told += 1
            covered += found.low <= 250 <= found.high
    assert told > 90
    assert covered >= 0.9 * told
