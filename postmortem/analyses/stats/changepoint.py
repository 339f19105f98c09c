"""Where a series changed its level, for good or for a spell, and whether it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from postmortem.analyses.stats.intervals import lasting_block_length
from postmortem.analyses.stats.median_mad import mad, median
from postmortem.analyses.stats.permutation import block_shuffles, p_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SHORTEST = 5  # the median of fewer values says nothing of a level
# A value farther out than this counts as this far, so that one spike does not make a level. Ten MADs
# are 6.7 standard deviations of normal data: levels that far apart are told apart all the same.
CLIP = 10.0
# Shuffles of a longer series are drawn on means of neighbours, this many: a stretch of SHORTEST values
# still fills half a mean of a series ten times as long, and a shuffle costs what a thousand values cost.
LONGEST = 1000


@dataclass(frozen=True)
class ChangePoint:
    """``index`` is where the new level begins; ``p_value`` is corrected for having looked everywhere."""

    index: int
    rises: bool
    p_value: float


def _scores(values: NDArray[np.float64], shortest: int) -> NDArray[np.float64]:
    """Difference of the means after and before each split over its scale; shape (..., splits)."""
    n = values.shape[-1]
    after = np.arange(n - shortest, shortest - 1, -1)  # values after a split at n - after
    before = n - after
    tail = np.cumsum(values[..., ::-1], axis=-1)[..., shortest - 1 : n - shortest][..., ::-1]
    whole = values.sum(axis=-1, keepdims=True)
    scores: NDArray[np.float64] = (tail / after - (whole - tail) / before) / np.sqrt(1 / after + 1 / before)
    return scores


def change_point(values: NDArray[np.float64], shortest: int = SHORTEST) -> ChangePoint | None:
    """The split after which values are most clearly higher (or lower).

    The standardised difference of means (so that a short new level at the end counts as well as a
    long one) of values clipped at CLIP MADs; its p-value from shuffling blocks of neighbours. None
    where the series is too short for two levels, or does not vary.

    Blocks of n^(1/3) forget what lasts longer: of 100 series of one level, 5 show a change at 0.05 where neighbours are
    independent, 10 where they correlate by 0.5, and 30 by 0.8. Blocks as long as neighbours go together halve that, but
    no longer find a level that comes and goes: 20 deviations for a fifth of 400 values, by 0.8, are found in all of 50
    runs by these blocks and in none by those.
    """
    return change_points(values[:, None], shortest)[0]


def change_points(values: NDArray[np.float64], shortest: int = SHORTEST) -> list[ChangePoint | None]:
    """The same of each of several series in step, shape (n, series); p-values are corrected for how many they are.

    All are shuffled alike, and held against the clearest change of any, each in its own standard deviations (Westfall
    and Young 1993, single step).
    """
    found: list[tuple[int, bool, float] | None] = []
    orders, drawn = None, np.zeros(1)
    for column in values.T:
        clipped = _clipped(column) if column.size >= 2 * shortest else None
        if clipped is None:
            found.append(None)
            continue
        scores = _scores(clipped, shortest)
        best = int(np.argmax(np.abs(scores)))
        means, width = _means(clipped / clipped.std())
        fewest = -(-shortest // width)
        found.append((best + shortest, bool(scores[best] > 0), float(np.abs(_scores(means, fewest)).max())))
        orders = block_shuffles(means.size) if orders is None else orders
        drawn = np.maximum(drawn, np.abs(_scores(means[orders], fewest)).max(axis=1))
    return [None if f is None else ChangePoint(f[0], f[1], p_of(f[2], drawn)) for f in found]


@dataclass(frozen=True)
class RaisedSpell:
    """Values ``first`` to ``stop`` - 1 stand above the others; ``p_value`` is corrected for looking everywhere."""

    first: int
    stop: int
    p_value: float


def raised_spell(values: NDArray[np.float64], shortest: int = SHORTEST) -> RaisedSpell | None:
    """The stretch that stands most clearly above all other values; its p-value is from shuffling blocks of neighbours.

    The statistic of circular binary segmentation (Olshen et al. 2004): the standardised difference of the means inside
    and outside. Lengths half an octave apart are looked at in every place (8 % of it is lost at most), then each end is
    moved to where the difference is clearest. Blocks are as long as neighbours go together besides the spell. None
    where the series is too short, or does not vary.
    """
    clipped = _clipped(values) if values.size >= 2 * shortest else None
    if clipped is None:
        return None
    means, width = _means(clipped)
    fewest = -(-shortest // width)
    octaves = np.log2((means.size - fewest) / fewest)
    lengths = np.unique(np.geomspace(fewest, means.size - fewest, round(2 * octaves) + 1).round().astype(np.int64))
    raised = np.concatenate(list(_raised(means[None], lengths)))
    length = int(lengths[np.argmax(raised)])
    run = _run(means)
    first = int(np.argmax(run[length:] - run[:-length]))
    inside = np.zeros(means.size, bool)
    inside[first : first + length] = True
    noise = np.where(inside, means - means[inside].mean(), means - means[~inside].mean())
    shuffled = means[block_shuffles(means.size, length=lasting_block_length(noise))]
    drawn = np.max(list(_raised(shuffled, lengths)), axis=0)
    first, stop = (values.size % width + place * width for place in (first, first + length))
    return RaisedSpell(*_fitted(clipped, first, stop, shortest), p_of(float(raised.max()), drawn))


def _raised(values: NDArray[np.float64], lengths: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    """How clearly the highest stretch of each length stands out; shape (series,) each."""
    run = _run(values)
    for length in lengths:
        highest = (run[:, length:] - run[:, :-length]).max(axis=1)
        yield _apart(highest, run[:, -1], length, values.shape[1])


def _fitted(values: NDArray[np.float64], first: int, stop: int, shortest: int) -> tuple[int, int]:
    """The ends between which values stand out most clearly, one moved at a time."""
    run, n, before = _run(values), values.size, (-1, -1)
    while (first, stop) != before:
        before = first, stop
        starts = np.arange(max(0, stop - n + shortest), stop - shortest + 1)
        first = int(starts[np.argmax(_apart(run[stop] - run[starts], run[-1], stop - starts, n))])
        stops = np.arange(first + shortest, min(n, n - shortest + first) + 1)
        stop = int(stops[np.argmax(_apart(run[stops] - run[first], run[-1], stops - first, n))])
    return first, stop


def _apart(
    inside: NDArray[np.float64], whole: NDArray[np.float64] | float, length: NDArray[np.int64], n: int
) -> NDArray[np.float64]:
    """Mean of ``length`` values, whose sum is ``inside``, less that of the others, over its scale."""
    scores: NDArray[np.float64] = inside / length - (whole - inside) / (n - length)
    return scores / np.sqrt(1 / length + 1 / (n - length))


def _run(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums of the first 0, 1, … values, along the last axis."""
    return np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)], axis=-1)


def _clipped(values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Away from the median, CLIP MADs at most; None where the series does not vary."""
    away = values - median(values)  # so that sums keep their digits where the level is high and changes little
    spread = mad(values)
    reach = CLIP * spread if spread > 0 else float(np.abs(away).max())
    return np.clip(away, -reach, reach) if reach else None


def _means(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Means of neighbours, LONGEST at most, and of how many; where the size is no multiple, the oldest values go."""
    width = -(-values.size // LONGEST)
    return values[values.size % width :].reshape(-1, width).mean(axis=1), width
