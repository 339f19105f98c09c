"""Correlations and contrasts: scipy's figures, strata, and their promises on data with nothing in it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from postmortem.analyses.association import correlation
from postmortem.analyses.contrast import contrast
from postmortem.analyses.stats.intervals import mean_effect, median_effect
from tests.analyses.test_stats import within_sampling_error

SEEDS = range(500)


def neighbours(rng: np.random.Generator, n: int, along: float = 0.0) -> np.ndarray:
    """Normal values, each ``along`` times the one before and something new."""
    values = rng.normal(size=n)
    for i in range(1, n):
        values[i] += along * values[i - 1]
    return values


def test_without_strata_it_is_spearmans() -> None:
    """The coefficient is scipy's, ties and all; its interval holds it."""
    rng = np.random.default_rng(7)
    a = np.round(rng.normal(size=80), 1)
    b = a + rng.normal(size=80)
    found = correlation(a, b)
    assert found is not None
    assert found.rho == pytest.approx(stats.spearmanr(a, b).statistic)
    assert found.low < found.rho < found.high
    assert found.p_value == pytest.approx(1 / 80, abs=0.01)  # of 80 turns, the one that leaves all in place


def test_strata_by_hand() -> None:
    """Down inside each of two groups, up between them: -1 within, where all together would give more than 0."""
    group = np.repeat([0, 1], 5)
    a = np.array([1.0, 2, 3, 4, 5, 11, 12, 13, 14, 15])
    b = np.array([5.0, 4, 3, 2, 1, 15, 14, 13, 12, 11])
    assert stats.spearmanr(a, b).statistic > 0
    found = correlation(a, b, group)
    assert found is not None
    assert (found.rho, found.n, found.groups) == (pytest.approx(-1), 10, 2)


@pytest.mark.parametrize("a", [np.arange(9.0), np.ones(40), np.array([])])
def test_too_few_or_constant(a: np.ndarray) -> None:
    """Fewer than ten values, or one that does not vary, say nothing; nor do ten groups of four."""
    assert correlation(a, np.arange(float(a.size))) is None
    assert correlation(np.arange(40.0), np.arange(40.0), np.arange(40) // 4) is None


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from([np.exp, np.cbrt, lambda v: 3 * v - 1]))
def test_only_order_counts(seed: int, rising: object) -> None:
    """A rising function of either series changes no figure; renaming groups neither; a falling one turns the sign."""
    rng = np.random.default_rng(seed)
    a, b, group = rng.normal(size=40), rng.normal(size=40), rng.integers(0, 3, 40)
    plain = correlation(a, b, group)
    assert plain is not None
    assert correlation(rising(a), b, group) == plain  # type: ignore[operator]
    falling = correlation(-a, b, group)
    assert falling is not None
    assert falling.rho == pytest.approx(-plain.rho)
    assert (falling.low, falling.high) == pytest.approx((-plain.high, -plain.low), abs=0.03)  # percentiles of 999
    assert falling.p_value == plain.p_value


@pytest.mark.slow
@pytest.mark.parametrize("along", [0.0, 0.3])
@pytest.mark.parametrize("groups", [1, 4])
def test_p_is_uniform_where_nothing_is(along: float, groups: int) -> None:
    """500 seeded pairs with nothing between them, neighbours alike or not: p is as often below a level as it says."""
    p_values, covered = [], 0
    for seed in SEEDS:
        rng = np.random.default_rng([seed, groups])
        group = rng.integers(0, groups, 120)
        found = correlation(neighbours(rng, 120, along) + group, neighbours(rng, 120, along) - 2 * group, group)
        assert found is not None
        p_values.append(found.p_value)
        covered += found.low <= 0 <= found.high
    for level in (0.05, 0.2, 0.5):
        assert within_sampling_error(sum(p <= level for p in p_values), len(SEEDS), level)
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3
    assert covered >= 0.88 * len(SEEDS)


@pytest.mark.slow
@pytest.mark.parametrize(("groups", "along"), [(4, 0.8), (12, 0.5), (12, 0.95)])
def test_p_is_no_smaller_where_slow_changes_run_through_all_groups(groups: int, along: float) -> None:
    """Strata that take turns in time share what changes slowly; of 300 pairs with nothing between them 1 in 20 is below
    0.05. Turning each stratum by itself took 20 to 58 of 100 for related.
    """
    hits = 0
    for seed in range(300):
        rng = np.random.default_rng([seed, groups, 17])
        found = correlation(neighbours(rng, 240, along), neighbours(rng, 240, along), rng.integers(0, groups, 240))
        assert found is not None
        hits += found.p_value <= 0.05
    assert within_sampling_error(hits, 300, 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("of", ["median", "mean"])
@pytest.mark.parametrize("held", ["a window", "now and then"])
def test_contrast_is_uniform_where_nothing_is(of: str, held: str) -> None:
    """500 seeded series that do not know of the condition: its p is uniform, and 0 in 88 of 100 intervals."""
    p_values, covered = [], 0
    for seed in SEEDS:
        rng = np.random.default_rng([seed, 9])
        where = np.arange(120) % 100 >= 70 if held == "a window" else rng.random(120) < 0.3
        found = contrast(rng.exponential(size=120), where, of)  # type: ignore[arg-type]
        assert found is not None
        p_values.append(found.p_value)
        covered += found.low <= 0 <= found.high
    for level in (0.05, 0.2, 0.5):
        assert within_sampling_error(sum(p <= level for p in p_values), len(SEEDS), level)
    assert covered >= 0.88 * len(SEEDS)


def test_contrast_by_hand() -> None:
    """Six of 3 and 5 among eight of 1: means 4 and 1; missing values count nowhere, and four are too few."""
    values = np.array([1.0] * 8 + [3.0, 5.0] * 3 + [np.nan] * 2)
    held = np.array([False] * 8 + [True] * 6 + [True, False])
    found = contrast(values, held, "mean")
    assert found is not None
    assert (found.held, found.otherwise, found.difference) == (4.0, 1.0, 3.0)
    assert (found.n_held, found.n_otherwise) == (6, 8)
    assert 2 <= found.low <= 3 <= found.high <= 4
    assert contrast(values[4:], held[4:], "mean") is None
    turned = contrast(values, ~held, "mean")
    assert turned is not None
    assert (turned.difference, turned.p_value) == (-3.0, found.p_value)


def test_contrast_of_a_constant() -> None:
    """What never varies goes with nothing: no difference, p 1."""
    found = contrast(np.full(20, 7.0), np.arange(20) < 8, "median")
    assert found is not None
    assert (found.difference, found.low, found.high, found.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_mean_interval_covers() -> None:
    """The true difference of means lies in at least 85 of 100 intervals, neighbours correlated by 0.5."""
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        _, low, high = mean_effect(3 + neighbours(rng, 100, 0.5), 1 + neighbours(rng, 100, 0.5))
        covered += low <= 2 <= high
    assert covered >= 170


@pytest.mark.slow
def test_intervals_of_what_lasts_cover() -> None:
    """Neighbours correlated by 0.95 over 600 values: 0 in 80 of 100 intervals of rho, 65 of a contrast."""
    rho = median = mean = 0
    for seed in range(7000, 7200):
        rng = np.random.default_rng(seed)
        a, b = neighbours(rng, 600, 0.95), neighbours(rng, 600, 0.95)
        found = correlation(a, b)
        assert found is not None
        rho += found.low <= 0 <= found.high
        held = np.arange(600) >= 400
        _, low, high = median_effect(a[held], a[~held], "difference", lasting=True)
        median += low <= 0 <= high
        _, low, high = mean_effect(a[held], a[~held])
        mean += low <= 0 <= high
    assert rho >= 160
    assert median >= 130
    assert mean >= 130


def test_a_contrast_keeps_what_lasts_together() -> None:
    """The interval of a level that wanders is wider than blocks of n^(1/3) say; of what does not, it is the same."""
    rng = np.random.default_rng(31)
    held = np.arange(300) >= 200
    for along, wider in ((0.95, True), (0.0, False)):
        values = neighbours(rng, 300, along)
        found = contrast(values, held, "median")
        assert found is not None
        _, low, high = median_effect(values[held], values[~held], "difference")
        assert (found.high - found.low > 1.1 * (high - low)) is wider
