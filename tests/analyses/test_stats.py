"""Statistics against scipy, hand-worked cases, and their own promises on data with nothing in it."""

from __future__ import annotations

import itertools
import statistics
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from postmortem.analyses.association import rises_together
from postmortem.analyses.counterfactual import share_removed, without_excess
from postmortem.analyses.lateness import lateness, lead_of_others
from postmortem.analyses.stats import intervals, permutation
from postmortem.analyses.stats.changepoint import change_point, change_points, raised_spell
from postmortem.analyses.stats.correction import holm
from postmortem.analyses.stats.fisher import fisher_greater
from postmortem.analyses.stats.intervals import median_effect
from postmortem.analyses.stats.median_mad import mad, median
from postmortem.analyses.stats.permutation import block_shuffles, late_window
from postmortem.analyses.stretch import stretch
from postmortem.analyses.stretches import departure, ramp

SEEDS = range(400)


def within_sampling_error(hits: int, n: int, p: float) -> bool:
    """Whether a count is what chance p gives, to 4 standard deviations (1 in 16,000 by chance)."""
    return abs(hits - n * p) <= 4 * np.sqrt(n * p * (1 - p))


def test_median_and_mad() -> None:
    """1, 2, 4, 8, 100: the median is 4, the distances 3, 2, 0, 4, 96, their median 3."""
    values = np.array([1.0, 2.0, 4.0, 8.0, 100.0])
    assert median(values) == 4.0
    assert mad(values) == 3.0


@given(*[st.integers(0, 12)] * 4)
def test_fisher_is_scipys(a: int, b: int, c: int, d: int) -> None:
    """The exact tail is scipy's one-sided p."""
    expected = stats.fisher_exact([[a, b], [c, d]], alternative="greater").pvalue
    assert fisher_greater(a, b, c, d) == pytest.approx(expected, rel=1e-9)


def test_holm_by_hand() -> None:
    """0.01, 0.04, 0.03 of three: 0.03, then 0.06 for both, since it never falls."""
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_change_point_is_found() -> None:
    """A rise of the last eight of 308 values is found at its place, in spite of single spikes before it."""
    values = np.random.default_rng(3).normal(10, 1, 308)
    values[300:] += 5
    values[[40, 120, 200]] += 60
    found = change_point(values)
    assert found is not None
    assert found.index == 300
    assert found.rises
    assert found.p_value <= 0.01


def test_change_point_p_is_calibrated() -> None:
    """On noise, p is below 0.05 in one case of twenty."""
    hits = sum(change_point(np.random.default_rng(s).normal(size=120)).p_value <= 0.05 for s in SEEDS)  # type: ignore[union-attr]
    assert within_sampling_error(hits, len(SEEDS), 0.05)


def test_change_points_of_many_series() -> None:
    """Of 60 series two change, one of them in sixtieths of the others' unit: both are told, no other is."""
    values = np.random.default_rng(11).normal(0, 1, size=(40, 60))
    values[30:, 7] += 4
    values[12:, 23] -= 4
    values[:, 23] /= 60
    found = change_points(values)
    told = {at: (f.index, f.rises) for at, f in enumerate(found) if f is not None and f.p_value <= 0.05}
    assert told == {7: (30, True), 23: (12, False)}
    assert change_points(values[:, :1])[0] == change_point(values[:, 0])


@pytest.mark.slow
def test_change_points_of_many_series_are_calibrated() -> None:
    """With nothing in them, one of 20 series is said to change in one case of twenty."""
    hits = 0
    for seed in SEEDS:
        found = change_points(np.random.default_rng([seed, 20]).normal(size=(60, 20)))
        hits += min(f.p_value for f in found if f is not None) <= 0.05
    assert within_sampling_error(hits, len(SEEDS), 0.05)


@pytest.mark.parametrize("at", [4, 20, 35])
@pytest.mark.parametrize("level", [0.1, 1.1, 1e9 + 0.1])
def test_change_point_of_one_spike(at: int, level: float) -> None:
    """The score is largest where a spike lies among the first or last five of 40: 10 in 40 places do as well."""
    values = np.full(40, level)
    values[at] += 6.2
    found = change_point(values)
    assert found is not None
    expected = 0.25 if at in (4, 35) else 1.0  # in the middle every place does as well
    assert found.p_value == pytest.approx(expected, abs=4 * np.sqrt(0.25 * 0.75 / 999))


@pytest.mark.parametrize("values", [np.ones(50), np.arange(9.0), np.array([])])
def test_no_change_point(values: np.ndarray) -> None:
    """A constant or too short series has none, and no spell."""
    assert change_point(values) is None
    assert raised_spell(values) is None


def test_spell_is_found_by_looking_at_every_one() -> None:
    """A spell four deviations high, of any length and at any place, has the ends of the one of all stretches of five
    of 60 values or more whose mean is, over its scale, farthest above that of the others."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        first = int(rng.integers(0, 50))
        stop = int(rng.integers(first + 5, min(60, first + 55) + 1))
        values = rng.normal(0, 1, 60)
        values[first:stop] += 4
        shown = {}
        for n in range(5, 56):
            for a in range(61 - n):
                inside, outside = values[a : a + n], np.delete(values, range(a, a + n))
                shown[a, a + n] = (inside.mean() - outside.mean()) / np.sqrt(1 / n + 1 / (60 - n))
        found = raised_spell(values)
        assert found is not None
        assert (found.first, found.stop) == max(shown, key=shown.__getitem__)


def test_spell_p_is_calibrated() -> None:
    """On noise, p is below 0.05 in one case of twenty."""
    hits = sum(raised_spell(np.random.default_rng(s).normal(size=120)).p_value <= 0.05 for s in SEEDS)  # type: ignore[union-attr]
    assert within_sampling_error(hits, len(SEEDS), 0.05)


def test_spell_of_a_long_series() -> None:
    """Of 7001 values, two deviations high for 300: found to a few places, of which seven stand together."""
    values = np.random.default_rng(6).normal(10, 1, 7001)
    values[4000:4300] += 2
    found = raised_spell(values)
    assert found is not None
    assert (found.first, found.stop) == (pytest.approx(4000, abs=4), pytest.approx(4300, abs=4))
    assert found.p_value <= 0.01


def test_stretch_finds_the_rise_that_mattered() -> None:
    """A long drift of 0.7 ms and then six iterations of 10 ms more: the six are the stretch."""
    values = np.random.default_rng(5).normal(9, 0.1, 290)
    values[220:] += 0.7
    values[284:] += 10
    found = stretch(values)
    assert found is not None
    assert found.now[0] == 284
    assert found.ratio[0] == pytest.approx(19 / 9, rel=0.1)


def test_interval_covers() -> None:
    """The true ratio of medians lies in at least nine of ten 95 % intervals, neighbours correlated by 0.5."""
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        noise = rng.normal(size=200)
        for i in range(1, 200):
            noise[i] += 0.5 * noise[i - 1]
        _, low, high = median_effect(20 + noise[100:], 10 + noise[:100], "ratio")
        covered += low <= 2.0 <= high
    assert covered >= 180


def test_blocks_are_permutations() -> None:
    """Every shuffle holds each place once."""
    orders = block_shuffles(37, resamples=20)
    assert (np.sort(orders, axis=1) == np.arange(37)).all()


def test_long_series_fill_no_memory() -> None:
    """Of 40,000 iterations 999 resamples at once are 160 MB and their copies as much again; in parts it is less."""
    values = np.random.default_rng(1).normal(size=40_000)
    tracemalloc.start()
    median_effect(values[:100], values, "difference", lasting=True)
    rises_together(values, np.arange(40_000) % 7.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def test_parts_are_the_whole() -> None:
    """Drawn in parts, shuffles and medians are those drawn at once."""
    with pytest.MonkeyPatch.context() as patched:
        values = np.random.default_rng(2).normal(size=37)
        whole = block_shuffles(37), median_effect(values[:20], values[20:], "ratio")
        for module in (intervals, permutation):
            patched.setattr(module, "AT_ONCE", 500)
        assert np.array_equal(block_shuffles(37), whole[0])
        assert median_effect(values[:20], values[20:], "ratio") == whole[1]


def test_association_is_spearmans() -> None:
    """The coefficient is scipy's; p is small where one drives the other, uniform where not."""
    rng = np.random.default_rng(7)
    a = np.round(rng.normal(size=80), 1)  # rounded: ties
    b = a + rng.normal(size=80)
    rho, p = rises_together(a, b)
    assert rho == pytest.approx(stats.spearmanr(a, b).statistic)
    assert p <= 0.01
    hits = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        hits += rises_together(rng.normal(size=60), rng.normal(size=60))[1] <= 0.05
    assert within_sampling_error(hits, len(SEEDS), 0.05)
    assert rises_together(np.zeros(10), np.arange(10.0)) == (0.0, 1.0)


def test_lead_by_hand() -> None:
    """Ranks at 8, 9 and 13 ms: against the median of the others -3, -1.5 and 4.5."""
    assert lead_of_others(np.array([[8.0, 9.0, 13.0]])).tolist() == [[-3.0, -1.5, 4.5]]


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=7))
def test_lead_is_over_the_median_of_the_others(row: list[int]) -> None:
    """Rank by rank, the others written out, ties among them."""
    by_hand = [own - statistics.median([*row[:r], *row[r + 1 :]]) for r, own in enumerate(row)]
    assert lead_of_others(np.array([row], np.float64))[0].tolist() == by_hand


def test_late_window_of_many_ranks_fills_no_memory() -> None:
    """1,000 late iterations of 64 ranks, once for each of 999 shuffles, are 512 MB. The late rank alone stands out."""
    lead = np.random.default_rng(8).normal(0, 1, size=(1_500, 64))
    lead[500:, 9] += 1
    tracemalloc.start()
    p_values = late_window(lead, 500)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    assert p_values[9] == 0.001
    assert np.delete(p_values, 9).min() > 0.05


def test_late_window_by_every_order() -> None:
    """p of a rise of all orders of 4 iterations of one rank: 1 in 24 has the same, as drawing from them shows."""
    lead = np.array([[1.0], [2.0], [3.0], [4.0]])
    sums = [sum(order[3:]) for order in itertools.permutations([1, 2, 3, 4])]
    exact = sum(s >= 4 for s in sums) / len(sums)
    assert late_window(lead, 3)[0] == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 999))


@pytest.mark.slow
def test_lateness_is_calibrated() -> None:
    """With nothing in it, some rank is called late in one case of twenty, however many ranks there are."""
    hits = 0
    for seed in SEEDS:
        compute = np.random.default_rng(seed).normal(10, 1, size=(80, 4))
        hits += min(f.p_value for f in lateness(compute[60:], compute[:60])) <= 0.05
    assert within_sampling_error(hits, len(SEEDS), 0.05)


def test_lateness_of_a_constant() -> None:
    """Ranks that never differ are never late: what all have in common is no rank above the others'."""
    assert [f.p_value for f in lateness(np.full((15, 3), 8.0), np.full((45, 3), 8.0))] == [1.0] * 3


@pytest.mark.slow
@pytest.mark.parametrize("step", [1.0, 2.0])
def test_lateness_of_rounded_times_is_calibrated(step: float) -> None:
    """Times of whole steps have many ties; that a window is the later one makes it no later in lateness."""
    hits = 0
    for seed in SEEDS:
        compute = np.round(np.random.default_rng([seed, 5]).normal(10, 1, size=(80, 2)) / step) * step
        hits += min(f.p_value for f in lateness(compute[60:], compute[:60])) <= 0.05
    assert hits <= 0.05 * len(SEEDS) + 4 * np.sqrt(0.05 * 0.95 * len(SEEDS))  # ties may only make it rarer


@settings(max_examples=20)
@given(st.permutations(range(4)), st.integers(0, 1000))
def test_permuting_ranks_permutes_the_answer(order: list[int], seed: int) -> None:
    """Renaming ranks renames the latest one and changes no figure."""
    compute = np.random.default_rng(seed).normal(10, 0.3, size=(60, 4))
    compute[45:, 2] += 3
    plain = lateness(compute[45:], compute[:45])[0]
    renamed = lateness(compute[45:][:, order], compute[:45][:, order])[0]
    assert order[renamed.column] == plain.column == 2
    assert renamed.excess_ms == pytest.approx(plain.excess_ms)
    assert renamed.p_value == plain.p_value


def test_replay_by_hand() -> None:
    """Compute 8 and 13 with 1 of transfer is 14; with the late rank at the other's 8 it is 9: 5 of 5 goes."""
    compute, transfer = np.array([[8.0, 13.0]]), np.array([[1.0, 1.0]])
    replayed = without_excess(compute, transfer, {1: 0.0})
    assert replayed.tolist() == [9.0]
    share, _, _ = share_removed(np.array([14.0] * 9), np.repeat(replayed, 9), np.array([9.0] * 9))
    assert share == 1.0
    assert without_excess(compute, transfer, {0: 0.0}).tolist() == [14.0]


@pytest.mark.parametrize(
    ("values", "at", "expected"), [("aaabbb", 5, 3), ("aaabbb", 2, 2), ("bbb", 2, 0), ("abab", 3, 3), ("abbb", 1, 1)]
)
def test_departure(values: str, at: int, expected: int) -> None:
    """The run of other tactics that holds a place begins where the home tactic ended."""
    assert departure(list(values), at, "a") == expected


@pytest.mark.parametrize(
    ("sizes", "at", "expected"),
    [([24, 24, 12], 2, 2), ([24, 20, 16, 12], 3, 1), ([24, 20, 20, 12], 3, 3), ([12, 17, 22], 2, 1), ([24, 24], 1, 1)],
)
def test_ramp(sizes: list[int], at: int, expected: int) -> None:
    """A batch that falls step by step began to fall at its first step."""
    assert ramp(sizes, at) == expected


def test_one_hiccup_is_no_inflation() -> None:
    """Of 8 to 12 ms and one of 1000, the median is 10.5 and the MAD 1.5: that one counts as 10.5 + 10 x 1.5 = 25.5.

    Against a calm median of 5 they take 25 and 20.5 ms too long; the replay takes 3 ms off the five, and leaves the
    hiccup at 500.
    """
    now = np.array([8.0, 9.0, 10.0, 11.0, 12.0, 1000.0])
    replayed = np.array([5.0, 6.0, 7.0, 8.0, 9.0, 500.0])
    share, low, high = share_removed(now, replayed, np.full(9, 5.0))
    assert share == pytest.approx(15 / 45.5)
    assert 0 <= low <= share <= high <= 1
