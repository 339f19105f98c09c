"""Histograms that move: scipy's distance, the split against sums over the whole table, and promises on null data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from postmortem.analyses.histograms import entropy, shift, split
from postmortem.analyses.stats.permutation import every_turn
from tests.analyses.test_stats import within_sampling_error

SEEDS = range(500)
HEALTHY, CHURNING = [0.992, 0.008, 0.0], [0.613, 0.221, 0.166]  # the article's two histograms


def sticky(rng: np.random.Generator, n: int, shares: list[float], stay: float) -> np.ndarray:
    """What n iterations run: each what the one before ran with chance ``stay``, else drawn anew."""
    drawn = rng.choice(len(shares), p=shares, size=n)
    kept = rng.random(n) < stay
    for i in range(1, n):
        if kept[i]:
            drawn[i] = drawn[i - 1]
    return drawn


def steps(rng: np.random.Generator, tactic: np.ndarray, kinds: int) -> np.ndarray:
    """A table of steps: each iteration's batch of 5 to 29 ran its tactic."""
    counts = np.zeros((tactic.size, kinds))
    counts[np.arange(tactic.size), tactic] = rng.integers(5, 30, tactic.size)
    return counts


def window(rng: np.random.Generator, n: int, long: int) -> np.ndarray:
    """A pressured stretch somewhere, round the end."""
    marked = np.zeros(n, bool)
    marked[(rng.integers(n) + np.arange(long)) % n] = True
    return marked


def test_entropy_by_hand() -> None:
    """The article's two: 0.0672 and 1.3442 bits; one tactic has none, four alike have two."""
    assert entropy(np.array([992.0, 8, 0])) == pytest.approx(0.0672, abs=5e-5)
    assert entropy(np.array([613.0, 221, 166])) == pytest.approx(1.3442, abs=5e-5)
    assert entropy(np.array([7.0, 0])) == 0.0
    assert entropy(np.full(4, 3.0)) == 2.0


def test_the_articles_histograms() -> None:
    """1000 iterations each: scipy's distance, inside its interval, and far beyond chance."""
    shares = [np.repeat([0, 1, 2], np.round(1000 * np.array(h)).astype(int)) for h in (HEALTHY, CHURNING)]
    rng = np.random.default_rng(1)
    tactic = np.concatenate([rng.permutation(part) for part in shares])
    counts = np.eye(3)[tactic]
    found = shift(counts, np.arange(2000) >= 1000)
    assert found is not None
    assert found.distance == pytest.approx(jensenshannon(HEALTHY, CHURNING, base=2))
    assert found.low < found.distance < found.high
    assert found.high - found.low < 0.1
    assert found.p_value <= 0.01  # a few turns by almost nothing, or by almost half the circle, come as far


@settings(max_examples=30)
@given(st.integers(0, 10_000))
def test_against_the_whole_table(seed: int) -> None:
    """Distance, split and p are those of explicit sums over phases, groups and tactics, turn by turn."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(12, 40))
    counts = rng.integers(0, 4, (n, 3)).astype(float)
    counts[:, 0] += 1
    pressured, group = window(rng, n, int(rng.integers(5, n - 4))), rng.integers(0, 3, n)
    found, parts = shift(counts, pressured), split(counts, group, pressured)
    assert found is not None
    assert parts is not None

    def distance(held: np.ndarray) -> float:
        return float(jensenshannon(counts[~held].sum(axis=0), counts[held].sum(axis=0), base=2))

    assert found.distance == pytest.approx(distance(pressured), abs=1e-9)
    turned = np.array([distance(np.roll(pressured, k)) for k in range(n)])
    assert found.p_value == np.mean(turned >= turned[0] - 1e-9)
    # the information that the tactic holds of the phase, once the shape is known: a sum over the joint table
    joint = np.array([[counts[(group == g) & (pressured == z)].sum(axis=0) for g in range(3)] for z in (False, True)])
    joint /= 2 * joint.sum(axis=(1, 2), keepdims=True)
    by_group = joint.sum(axis=(0, 2), keepdims=True)
    apart = joint.sum(axis=0, keepdims=True) * joint.sum(axis=2, keepdims=True)
    some = joint > 0
    known = (joint[some] * np.log2((joint * by_group)[some] / apart[some])).sum()
    assert parts.same_shape == pytest.approx(known, abs=1e-9)
    assert parts.divergence == pytest.approx(found.distance**2, abs=1e-9)
    assert parts.p_value is not None
    assert 0 < parts.p_value <= 1


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_names_do_not_count(seed: int) -> None:
    """Tactics and shapes in another order, the same figures."""
    rng = np.random.default_rng(seed)
    counts = steps(rng, sticky(rng, 40, [0.5, 0.3, 0.2], 0.3), 3)
    pressured, group = window(rng, 40, 15), rng.integers(0, 3, 40)
    one, other = shift(counts, pressured), shift(counts[:, [2, 0, 1]], pressured)
    assert one is not None
    assert other is not None
    assert (one.distance, one.p_value) == (pytest.approx(other.distance), other.p_value)
    first, second = split(counts, group, pressured), split(counts, (group + 1) % 3, pressured)
    assert first is not None
    assert second is not None
    assert (first.same_shape, first.p_value) == (pytest.approx(second.same_shape), second.p_value)


def test_all_by_shape_all_at_one_shape_and_hidden() -> None:
    """Where the shape chooses, nothing is left at one shape; where it does not matter, all is; opposites hide."""
    pressured = np.arange(40) >= 20
    by_shape = np.where(np.arange(40) % 20 < np.where(pressured, 15, 5), 1, 0)
    parts = split(np.eye(2)[by_shape], by_shape, pressured)
    assert parts is not None
    assert parts.divergence == pytest.approx(jensenshannon([0.75, 0.25], [0.25, 0.75], base=2) ** 2)
    assert (parts.same_shape, parts.p_value, parts.comparable) == (pytest.approx(0, abs=1e-12), None, 1.0)

    shape = np.arange(40) % 2
    parts = split(np.eye(2)[pressured.astype(int)], shape, pressured)
    assert parts is not None
    assert (parts.divergence, parts.same_shape) == (pytest.approx(1), pytest.approx(1))
    assert parts.p_value == pytest.approx(2 / 20)  # ten turns a shape of 20: each tenth, and only half a turn is as far

    parts = split(np.eye(2)[(shape + pressured) % 2], shape, pressured)
    assert parts is not None
    assert (parts.divergence, parts.same_shape) == (pytest.approx(0), pytest.approx(1))


def test_new_shapes_cannot_be_compared() -> None:
    """Where no shape ran in both phases, nothing moved at one, and that rests on no step."""
    pressured = np.arange(20) >= 10
    parts = split(np.eye(2)[pressured.astype(int)], pressured.astype(np.int64), pressured)
    assert parts is not None
    assert (parts.divergence, parts.same_shape, parts.comparable, parts.p_value) == (pytest.approx(1), 0, 0, None)


@pytest.mark.parametrize("pressured", [4, 0, 17, 20])
def test_too_few(pressured: int) -> None:
    """Four iterations of a phase say nothing."""
    held = np.arange(20) < pressured
    assert shift(np.ones((20, 1)), held) is None
    assert split(np.ones((20, 1)), np.zeros(20, np.int64), held) is None


def test_one_tactic_never_moves() -> None:
    """The same tactic throughout: no distance, and nothing to test."""
    found = shift(np.full((20, 1), 3.0), np.arange(20) < 8)
    assert found is not None
    assert (found.distance, found.low, found.high, found.p_value) == (0, 0, 0, None)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(0, 2**30))
def test_every_turn_is_a_roll(values: list[int], bits: int) -> None:
    """Each entry is the sum at the marks, rolled by so much."""
    series = np.array(values, float)
    marked = np.array([bool(bits >> i & 1) for i in range(series.size)])
    assert every_turn(series, marked).tolist() == [series[np.roll(marked, k)].sum() for k in range(series.size)]


def test_fewer_iterations_are_no_surer() -> None:
    """Of a real shift, half of the iterations, taken out at random, give larger p-values on the whole."""
    whole, half = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        pressured = window(rng, 120, 40)
        tactic = np.where(pressured, sticky(rng, 120, [0.6, 0.4], 0.3), sticky(rng, 120, [0.8, 0.2], 0.3))
        counts = steps(rng, tactic, 2)
        kept = np.sort(rng.permutation(120)[:60])
        for p, of in ((whole, slice(None)), (half, kept)):
            found, parts = (
                shift(counts[of], pressured[of]),
                split(counts[of], np.zeros(120, np.int64)[of], pressured[of]),
            )
            assert found is not None
            assert parts is not None
            p.append((found.p_value, parts.p_value))
    assert (np.median(half, axis=0) > np.median(whole, axis=0)).all()


@pytest.mark.slow
@pytest.mark.parametrize("stay", [0.0, 0.5, 0.8])
def test_p_is_uniform_where_phases_do_not_matter(stay: float) -> None:
    """500 seeded runs whose tactics go by shape alone, shapes by phase: all p-values but that of the whole are uniform.

    The whole is tested on runs of one mix of shapes. Tactics stay on in all shapes at once, the hardest case.
    """
    whole, one_shape, same_shape = [], [], []
    for seed in SEEDS:
        rng = np.random.default_rng([seed, 5])
        pressured = window(rng, 300, 90)
        shape = np.where(
            pressured, rng.choice(3, p=[0.2, 0.3, 0.5], size=300), rng.choice(3, p=[0.5, 0.3, 0.2], size=300)
        )
        common = sticky(rng, 300, [0.6, 0.3, 0.1], stay)
        found = shift(steps(rng, common, 3), pressured)
        counts = steps(rng, (common + shape) % 4, 4)
        own = shape == 1
        at_one, parts = shift(counts[own], pressured[own]), split(counts, shape, pressured)
        assert found is not None
        assert at_one is not None
        assert parts is not None
        whole.append(found.p_value)
        one_shape.append(at_one.p_value)
        same_shape.append(parts.p_value)
    for level in (0.05, 0.2, 0.5):
        assert within_sampling_error(sum(p <= level for p in whole), len(SEEDS), level)
        assert within_sampling_error(sum(p <= level for p in one_shape), len(SEEDS), level)
        # turned by one part of each shape's length, what changes in all at once is slightly overestimated
        assert sum(p <= level for p in same_shape) <= len(SEEDS) * level + 4 * np.sqrt(len(SEEDS) * level * (1 - level))
    assert stats.kstest(whole, "uniform").pvalue > 1e-3
    assert stats.kstest(one_shape, "uniform").pvalue > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("calm", "pressured"), [(HEALTHY, CHURNING), ([0.9, 0.1], [0.5, 0.5]), ([0.6, 0.4], [0.6, 0.4])], ids=str
)
def test_interval_covers(calm: list[float], pressured: list[float]) -> None:
    """The true distance lies in at least 85 of 100 intervals, tactics staying on in half of the iterations."""
    true = float(jensenshannon(calm, pressured, base=2))
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        parts = [sticky(rng, n, shares, 0.5) for n, shares in ((200, calm), (100, pressured))]
        found = shift(steps(rng, np.concatenate(parts), len(calm)), np.arange(300) >= 200)
        assert found is not None
        covered += found.low <= true + 1e-9 <= found.high + 2e-9
    assert covered >= 170
