"""How well it is known what a batch of another size takes."""

from __future__ import annotations

import numpy as np
import pytest

from postmortem.analyses.stretch import at_one_size, ms_a_sequence, size_doubt

CALM, NOW = np.arange(6), np.arange(6, 8)


def test_nineteen_of_twenty_intervals_hold_the_slope() -> None:
    """Two to eight sizes, five to thirty times each, with normal noise about a line; then iterations far beyond.

    Of 600 true intervals of 95 %, 570 hold it, give or take 5.3: four of these to either side.
    """
    held = 0
    for seed in range(600):
        rng = np.random.default_rng(seed)
        sizes = rng.choice(np.arange(8, 48), rng.integers(2, 9), replace=False)
        calm = np.repeat(sizes, rng.integers(5, 30, sizes.size)).astype(np.float64)
        batch = np.append(calm, [64.0] * 9)
        ms = 100 + batch + rng.normal(0, 0.3, batch.size)
        now, before = np.arange(calm.size, batch.size), np.arange(calm.size)
        least, most = size_doubt(at_one_size(ms, batch, calm.size), batch, before, now)
        slope = ms_a_sequence(ms[: calm.size], calm)
        assert slope is not None
        held += least <= (slope - 1) * (64 - np.median(calm)) <= most
    assert 570 - 22 <= held <= 570 + 22


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (20.0, 30.0, (0.0, 5.0)),  # ten more where 20 take 10 ms: at most half as long again
        (20.0, 10.0, (-5.0, 0.0)),
        (20.0, 20.0, (0.0, 0.0)),
        (np.nan, 30.0, (0.0, 0.0)),
        (20.0, np.nan, (0.0, 0.0)),
        (0.0, 5.0, (0.0, np.inf)),  # of none at all nothing follows
    ],
)
def test_one_size_when_calm(before: float, after: float, expected: tuple[float, float]) -> None:
    """No slope was taken off: work is at most in proportion, and unrecorded sizes tell nothing."""
    batch = np.array([before] * 6 + [after] * 2)
    assert size_doubt(np.full(8, 10.0), batch, CALM, NOW) == pytest.approx(expected)
