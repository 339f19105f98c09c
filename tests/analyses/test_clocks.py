"""Clocks against each other: offset, drift, steps, and an uncertainty that holds what it promises."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from postmortem.analyses.clocks import _split, fit_clock
from postmortem.analyses.collectives import CALLS, LAPS, RECORDS, apply, clocks, match
from postmortem.analyses.matching import coincidence, number_calls

EPOCH = 1_793_000_000_000_000_000
SEEDS = range(200)
RANKS, ITERATIONS, EACH = 4, 120, 4


def test_an_even_clock() -> None:
    """Differences of 10, 12, 11 at three moments: their median, no drift from so few, spread twice 1.4826 MADs of 1."""
    (segment,) = fit_clock(np.array([100, 200, 300]), np.array([10, 12, 11]))
    assert (segment.at_ns, segment.offset_ns, segment.drift, segment.events) == (200, 11, None, 3)
    assert segment.spread_ns == pytest.approx(2.965204437)


def test_a_drifting_clock() -> None:
    """50 ppm over 10 s: 500 µs from end to end, and the middle's difference holds in the middle."""
    t = EPOCH + np.arange(0, 10_000_000_000, 10_000_000)
    d = 7_000 + ((t - t[0]) * 50e-6).astype(np.int64)
    (segment,) = fit_clock(t, d)
    assert segment.drift == pytest.approx(50e-6, rel=1e-4)
    assert segment.offset_ns == pytest.approx(7_000 + 50e-6 * (t[-1] - t[0]) / 2, abs=10)


def test_a_clock_that_steps() -> None:
    """A jump of 2 ms at the 613th of 1000 moments is found there, and said."""
    rng = np.random.default_rng(5)
    t = EPOCH + np.arange(1000) * 10_000_000
    d = np.round(rng.normal(0, 3_000, 1000)).astype(np.int64) + np.where(np.arange(1000) >= 613, 2_000_000, 0)
    one, other = fit_clock(t, d)
    assert (one.events, other.events) == (613, 387)
    assert other.from_ns == t[613]
    assert other.stepped_ns == pytest.approx(2_000_000, abs=2_000)


def test_noise_is_no_step() -> None:
    """In 200 recordings of jitter alone no clock steps; drift is claimed in about 5 % of them, as its interval says."""
    drifts = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        t = EPOCH + np.cumsum(rng.integers(1_000_000, 20_000_000, 800))
        found = fit_clock(t, np.round(rng.normal(0, 3_000, 800)).astype(np.int64))
        assert len(found) == 1
        drifts += found[0].drift is not None
    assert drifts <= 19  # 5 % of 200, and three standard deviations of that count


def recording(
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """Offsets within 50 ms, drifts within 50 ppm, jitter, a missing head, 1 % lost and 1 % doubled calls.

    Each rank's ends by its own clock, ascending, and which collective each of them is.
    """
    rng = np.random.default_rng(seed)
    begins = np.cumsum(rng.normal(10e6, 0.2e6, ITERATIONS))
    ends = np.sort((begins[:, None] + np.arange(1, EACH + 1) * 2e6 + rng.normal(0, 20_000, (ITERATIONS, EACH))).ravel())
    offsets, drifts = rng.uniform(-50e6, 50e6, RANKS), rng.uniform(-50e-6, 50e-6, RANKS)
    times, which = [], []
    for rank in range(RANKS):
        index = np.flatnonzero(rng.random(ends.size) > 0.01)
        index = index[index >= rng.integers(0, ends.size // 10)]
        index = np.sort(np.concatenate([index, index[rng.random(index.size) < 0.01]]))
        left = ends[index] + np.abs(rng.normal(0, 3_000, index.size))
        own = left + offsets[rank] + drifts[rank] * (left - ends.mean())
        order = np.argsort(own, kind="stable")
        times.append(EPOCH + own[order].astype(np.int64))
        which.append(index[order])
    return offsets, drifts, times, which


def calls_of(times: list[NDArray[np.int64]], which: list[NDArray[np.int64]] | None) -> pl.DataFrame:
    """Records of collectives; numbered where ``which`` is given."""
    return pl.concat(
        pl.DataFrame(
            {
                "source_id": rank, "replica": "b", "rank": rank, "comm": "",
                "seq": None if which is None else which[rank],
                "op": "AllReduce", "bytes": None, "start_ns": end - 200_000, "end_ns": end, "way": "NCCL kernels",
                "track": "stream 7", "choice": 1,
            },
            schema=RECORDS,
        )
        for rank, end in enumerate(times)
    )  # fmt: skip


@pytest.mark.parametrize("seeds", [range(20), pytest.param(SEEDS, marks=pytest.mark.slow)])
@pytest.mark.parametrize("numbered", [True, False])
def test_the_true_offset_lies_within_the_interval(numbered: bool, seeds: range) -> None:
    """In at least 95 % of the recordings every pair of ranks lies as far apart as stated, within both uncertainties."""
    held, widths, wrong, matched = 0, [], 0, 0
    for seed in seeds:
        offsets, drifts, times, which = recording(seed)
        calls = match(calls_of(times, which if numbered else None))
        if not numbered:
            truth = pl.concat(
                pl.DataFrame({"rank": pl.Series([rank] * e.size, dtype=pl.Int32), "end_ns": e, "true": i})
                for rank, (e, i) in enumerate(zip(times, which, strict=True))
            ).unique(["rank", "end_ns"])
            groups = (
                calls.drop_nulls("seq")
                .join(truth, on=["rank", "end_ns"])
                .group_by("comm", "seq")
                .agg(pl.col("true").n_unique())
            )
            wrong += groups.filter(pl.col("true") > 1).height
            matched += groups.height
        fits = clocks(calls, pl.DataFrame(schema=LAPS))
        assert fits["source_id"].to_list() == list(range(RANKS))
        middle = EPOCH + int(np.median(np.concatenate(times)) - EPOCH)
        told = fits["offset_ns"] + (fits["drift_ppm"].fill_null(0.0) * 1e-6 * (middle - fits["at_ns"]))
        true = -(offsets + drifts * (middle - EPOCH - np.median(np.concatenate(times) - EPOCH)))
        apart = np.abs((told.to_numpy() - told[0]) - (true - true[0]))
        unsure = fits["uncertainty_ns"].to_numpy()
        held += bool((apart <= unsure + unsure[0]).all())
        widths.append(float(np.median(unsure)))
    assert held >= 0.95 * len(seeds)
    # |N(0, 3 µs)| has a standard deviation of 1.8 µs: a 95 % interval of single events is no wider than a few of it.
    assert np.median(widths) < 10_000
    assert wrong <= matched // 1000


def test_nothing_in_common_is_said() -> None:
    """Two recordings at other times share nothing: no offset is claimed for either against the other."""
    _, _, times, _ = recording(7)
    calls = match(calls_of([times[0], times[1] + 3_600_000_000_000], None))
    assert calls["seq"].drop_nulls().is_empty() or calls.drop_nulls("seq")["comm"].n_unique() == 2
    assert clocks(calls, pl.DataFrame(schema=LAPS)).is_empty()


def test_evenly_spaced_calls_are_not_guessed_at() -> None:
    """Ends every 2 ms fit at many shifts: none stands out."""
    one = EPOCH + np.arange(500) * 2_000_000
    assert coincidence(one, one[3:] + 17) is None


def test_two_communicators() -> None:
    """Four ranks in two pairs and in one group of four: three communicators, each call with its own."""
    rng = np.random.default_rng(11)
    tp = [EPOCH + np.cumsum(rng.integers(1_000_000, 4_000_000, 300)) for _ in range(2)]
    dp = EPOCH + np.cumsum(rng.integers(20_000_000, 60_000_000, 20))
    tracks = [tp[0], tp[0] + 40, tp[1], tp[1] - 25, dp, dp + 40, dp + 5, dp - 25]
    numbers = number_calls(tracks, [0, 1, 2, 3, 0, 1, 2, 3], [0, 1, 2, 3, 0, 1, 2, 3])
    labels = [int(comm[0]) for comm, _ in numbers]
    assert labels[0] == labels[1] != labels[2] == labels[3]
    assert len(set(labels[4:])) == 1
    assert len(set(labels)) == 3
    for (_, one), (_, other) in ((numbers[0], numbers[1]), (numbers[2], numbers[3]), (numbers[4], numbers[7])):
        assert one.tolist() == other.tolist() == list(range(one.size))


@pytest.mark.parametrize("numbered", [True, False])
def test_a_node_whose_clock_steps_is_named(numbered: bool) -> None:
    """Rank 2's clock jumps by 8 ms after three fifths of 20 recordings: its fit says so, and no other rank's does."""
    for seed in range(20):
        _, _, times, which = recording(seed)
        when = int(times[2][round(0.6 * times[2].size)])
        times[2] = np.where(times[2] > when, times[2] + 8_000_000, times[2])
        fits = clocks(match(calls_of(times, which if numbered else None)), pl.DataFrame(schema=LAPS))
        stepped = fits.filter(pl.col("stepped_ns") != 0)
        assert stepped["source_id"].to_list() == [2]
        # what is added jumps the other way, within what jitter and a doubled call make of the place
        assert stepped["stepped_ns"].item() == pytest.approx(-8_000_000, abs=50_000)
        assert stepped["from_ns"].item() == pytest.approx(when, abs=100_000_000)


@pytest.mark.parametrize("heads", [2, 1])
def test_numbers_that_begin_again(heads: int) -> None:
    """An engine that was started anew numbers from 0 again: a call meets that of its own life, or none.

    Rank 0 recorded both lives, a minute apart, and rank 1 both or the second alone, by a clock 7 ms ahead.
    """
    rng = np.random.default_rng(16)
    lives = [EPOCH + life * 60_000_000_000 + np.cumsum(rng.integers(1_000_000, 4_000_000, 300)) for life in (0, 1)]
    both, numbers = np.concatenate(lives), np.tile(np.arange(300), 2)
    own = both if heads == 2 else lives[1]
    calls = match(calls_of([both, own + 7_000_000], [numbers, numbers[: own.size]]))
    pairs = calls.drop_nulls("seq").group_by("comm", "seq").agg(pl.col("end_ns").sort_by("rank"), pl.len())
    pairs = pairs.filter(pl.col("len") == 2)
    assert set((pairs["end_ns"].list.get(1) - pairs["end_ns"].list.get(0)).to_list()) == {7_000_000}
    assert pairs.height >= own.size - 1  # where the lives meet, a call's nearest may be of the other
    assert calls.height == both.size + own.size


def laps_of(source: int, start: NDArray[np.int64], record: int, told: NDArray[np.int64]) -> pl.DataFrame:
    """Iterations that a source's ranges and a record's source both have."""
    return pl.DataFrame(
        {"source_id": source, "start_ns": start, "record_id": record, "told_ns": told, "own": True}, schema=LAPS
    )


def test_a_record_of_an_iteration_ties_a_lonely_source() -> None:
    """A rank alone is held against its s records: they began 1.5 ms after what its ranges say; the records stay."""
    start = EPOCH + np.arange(20) * 10_000_000
    alone, record = clocks(pl.DataFrame(schema=CALLS), laps_of(3, start, 8, start + 1_500_000)).to_dicts()
    assert (alone["source_id"], alone["offset_ns"], alone["shared"]) == (3, 1_500_000, "20 iterations of the s records")
    assert (record["source_id"], record["offset_ns"], record["uncertainty_ns"]) == (8, 0, 0)
    assert record["shared"] == "20 iterations that other sources have"


def test_iterations_tie_collectives_to_the_records() -> None:
    """Ranks 40 ms apart, tied by collectives; by one rank's iterations both land on the records' clock, within 1 µs."""
    rng = np.random.default_rng(6)
    ends = EPOCH + np.cumsum(rng.integers(1_000_000, 4_000_000, 300))
    calls = match(calls_of([ends, ends + 40_000_000], [np.arange(300), np.arange(300)]))
    start = ends[::10] + 40_000_000
    told = ends[::10] - 7_000_000 + rng.integers(-1_000, 1_000, 30)
    fits = {row["source_id"]: row for row in clocks(calls, laps_of(1, start, 9, told)).to_dicts()}
    assert fits[0]["offset_ns"] == pytest.approx(-7_000_000, abs=1_000)
    assert fits[1]["offset_ns"] - fits[0]["offset_ns"] == -40_000_000
    # twice 1.4826 MADs of an even spread of ±1 µs: 0.5 µs in the middle
    assert (fits[9]["offset_ns"], fits[9]["uncertainty_ns"]) == (0, pytest.approx(1_483, abs=400))


@pytest.mark.parametrize("common", [3, 20])
def test_a_pair_that_hangs_on_few_events(common: int) -> None:
    """Rank 2 meets the first pair in few collectives, and rank 3 is held against rank 2: both are as unsure.

    Fewer than five events show no spread of their own: a stay bounds it, 0.2 ms in calls_of. Twenty do, and it is none.
    """
    rng = np.random.default_rng(19)
    bound = 200_000 if common == 3 else 0
    shared = EPOCH + np.cumsum(rng.integers(1_000_000, 4_000_000, common))
    pairs = [EPOCH + 1_000_000_000 + np.cumsum(rng.integers(1_000_000, 4_000_000, 300)) for _ in range(2)]
    times = [np.concatenate([shared, pairs[rank // 2]]) for rank in range(4)]
    numbers = [np.concatenate([np.arange(common), 1000 * (1 + rank // 2) + np.arange(300)]) for rank in range(4)]
    fits = clocks(match(calls_of(times, numbers)), pl.DataFrame(schema=LAPS)).sort("source_id")
    assert fits["uncertainty_ns"].to_list() == [0, 0, bound, bound]


def test_islands_are_said() -> None:
    """Two pairs of ranks without a collective in common: each pair is aligned, and the fits say with how many."""
    rng = np.random.default_rng(13)
    tp = [np.cumsum(rng.integers(1_000_000, 4_000_000, 300)) + EPOCH for _ in range(2)]
    times = [tp[0], tp[0] + 500, tp[1] + 90_000_000, tp[1] + 90_000_900]
    numbers = np.arange(300)
    calls = match(calls_of(times, [numbers, numbers, numbers + 1000, numbers + 1000]))
    fits = clocks(calls, pl.DataFrame(schema=LAPS)).sort("source_id")
    assert fits["shared"].unique().to_list() == ["the common end of 300 collectives, with 1 of 3 other sources"]
    assert (fits["offset_ns"] - fits["offset_ns"].shift()).to_list()[1::2] == [-500, -900]


def test_applying_a_fit_undoes_it() -> None:
    """Times moved by a fit of their own differences land on the other clock."""
    t = EPOCH + np.arange(0, 5_000_000_000, 7_000_000)
    true = t + 40_000_000 + ((t - t[0]) * 30e-6).astype(np.int64)
    assert np.abs(apply(fit_clock(t, true - t), t) - true).max() <= 3


@pytest.mark.parametrize(("before", "after", "cut"), [(20, 5, 20), (5, 20, 5), (20, 2, None), (2, 20, None)])
def test_few_values_make_no_level(before: int, after: int, cut: int | None) -> None:
    """A clock steps to a level of five values, most of them its own; two that stand out at an end are none."""
    assert _split(np.repeat([0.0, 100.0], [before, after])) == cut
