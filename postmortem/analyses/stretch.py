"""Iterations that got longer: when it began, and what of it is collectives and what is compute."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, pi, sqrt
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.stats.changepoint import SHORTEST, ChangePoint, change_point
from postmortem.analyses.stats.intervals import median_effect
from postmortem.analyses.stats.level import ALPHA, DEVIATIONS
from postmortem.analyses.stats.median_mad import NORMAL_CONSISTENCY, mad, median

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Of either level the nearest this many are compared: the median of a thousand is known to 4 % of one
# iteration's deviation (1.25 / sqrt(1000)), and an older baseline is a worse one.
NEAREST = 1_000
NORMAL_REACH = 0.975  # the upper end of the customary 95 %


@dataclass(frozen=True)
class Stretch:
    """``calm`` and ``now`` are indices into the series given; times are medians an iteration, ms."""

    calm: NDArray[np.int64]
    now: NDArray[np.int64]
    change: ChangePoint
    total_ms: float
    total_calm_ms: float
    ratio: tuple[float, float, float]


def stretch(total_ms: NDArray[np.float64], looks: int = 1) -> Stretch | None:
    """Whether and where iterations got longer, and by how much: (ratio, low, high).

    A slow drift may be the clearest change of a long series, and the rise that mattered stand at
    its end: so the new level is split again as long as the later rise is the larger one. Its
    p-value is corrected for the splits made, and for the ``looks`` that are taken besides. None where
    the series is too short to tell, or where it did not get longer.
    """
    found = change_point(total_ms)
    if found is None or not found.rises:
        return None
    index, p_value = found.index, min(1.0, found.p_value * looks)
    while True:
        looks += 1
        later = change_point(total_ms[index:])
        if later is None or not later.rises or later.p_value * looks > ALPHA:
            break
        whole, end = median(total_ms[index:]), median(total_ms[index + later.index :])
        if end - median(total_ms[index : index + later.index]) <= whole - median(total_ms[:index]):
            break
        index, p_value = index + later.index, min(1.0, later.p_value * looks)
    calm, now = np.arange(index)[-NEAREST:], np.arange(index, total_ms.size)[-NEAREST:]
    return _between(total_ms, calm, now, ChangePoint(index, rises=True, p_value=p_value))


def against(total_ms: NDArray[np.float64], found: Stretch, calm: NDArray[np.int64]) -> Stretch | None:
    """The stretch held against other ``calm`` iterations (indices), all that came before their end left out.

    None where nothing of it came after them.
    """
    now = found.now[found.now > calm[-1]]
    return _between(total_ms, calm[-NEAREST:], now, found.change) if now.size else None


def lately(total_ms: NDArray[np.float64], found: Stretch, first: int, looks: int) -> Stretch | None:
    """What the iterations from index ``first`` on show against those before ``found`` began, without those between.

    None where they are too few to tell, where they did not get longer, or where ``found`` began among them.
    """
    before = found.change.index
    if first <= before:
        return None
    rows = np.concatenate([np.arange(before), np.arange(first, total_ms.size)])
    again = stretch(total_ms[rows], looks)
    if again is None or again.change.index < before:
        return None
    change = replace(again.change, index=int(rows[again.change.index]))
    return _between(total_ms, found.calm, rows[again.now], change)


def _between(
    total_ms: NDArray[np.float64], calm: NDArray[np.int64], now: NDArray[np.int64], change: ChangePoint
) -> Stretch:
    ratio = median_effect(total_ms[now], total_ms[calm], "ratio")
    return Stretch(calm, now, change, median(total_ms[now]), median(total_ms[calm]), ratio)


def at_one_size(ms: NDArray[np.float64], batch: NDArray[np.float64], calm: int) -> NDArray[np.float64]:
    """Times as they would be at one batch size: a larger batch takes longer without anything being wrong.

    The slope is learnt from the first ``calm`` iterations alone, so that a stall that comes with a larger
    batch is not taken for the batch's doing: Theil's and Sen's, over the medians of each size that stands
    there at least five times (fewer say nothing of a level), weighted by their distance, never negative.
    """
    before = batch[:calm]
    slope = ms_a_sequence(ms[:calm], before)
    if slope is None:
        return ms
    flat: NDArray[np.float64] = ms - slope * np.nan_to_num(batch - np.nanmedian(before))
    return flat


def ms_a_sequence(ms: NDArray[np.float64], batch: NDArray[np.float64]) -> float | None:
    """How much longer an iteration takes for each sequence more, as ``at_one_size`` has it; None where one size ran."""
    sizes, _ = _sizes(np.where(np.isnan(ms), np.nan, batch))
    if sizes.size < 2:
        return None
    medians = np.array([np.nanmedian(ms[batch == size]) for size in sizes])
    first, second = np.triu_indices(sizes.size, 1)
    apart = sizes[second] - sizes[first]
    slopes = (medians[second] - medians[first]) / apart
    order = np.argsort(slopes)
    weight = np.cumsum(apart[order])
    return max(0.0, float(slopes[order][np.searchsorted(weight, weight[-1] / 2)]))


def slope_doubt(ms: NDArray[np.float64], batch: NDArray[np.float64]) -> float | None:
    """How far ``ms_a_sequence`` may be off, ms: half of its 95 % interval; None where one size alone ran.

    It is as well known as the medians it was learnt from, each off by the root of pi / (2 n) standard deviations of its
    n iterations; Theil's and Sen's has pi / 3 of the variance that least squares have (Sievers 1978). ``ms`` stand at
    one size already.
    """
    sizes, counts = _sizes(batch)
    if sizes.size < 2:
        return None
    apart = (sizes - sizes.mean()) ** 2
    variances = pi / 2 * (NORMAL_CONSISTENCY * mad(ms)) ** 2 / counts
    return DEVIATIONS * sqrt(pi / 3 * float((apart * variances).sum())) / float(apart.sum())


def size_doubt(
    flat_ms: NDArray[np.float64], batch: NDArray[np.float64], calm: NDArray[np.int64], now: NDArray[np.int64]
) -> tuple[float, float]:
    """What the batch of ``now`` may have added to times that stand at one size already: (least, most) ms, 95 %.

    As well as the slope taken off is known. Where one size alone ran when calm nothing was taken off: work is at most
    in proportion to the sequences. (0, 0) where the batch had the same size, or none is recorded.
    """
    told = calm[~np.isnan(batch[calm])]
    if not told.size or np.isnan(batch[now]).all():
        return 0.0, 0.0
    usual = median(batch[told])
    more = float(np.nanmedian(batch[now])) - usual
    if not more:
        return 0.0, 0.0
    off = slope_doubt(flat_ms[told], batch[told])
    steepest = off if off is not None else median(flat_ms[told]) / usual if usual else inf
    least, most = sorted((more * (0.0 if off is None else -off), more * steepest))
    return least, most


def by_batch(
    ms: NDArray[np.float64], batch: NDArray[np.float64], now: NDArray[np.int64], calm: NDArray[np.int64]
) -> bool:
    """Whether a larger batch may be all that ails ``now``: a slope learnt at few sizes says little of far larger ones.

    Larger: its median is one that fewer than 1 in 40 calm iterations reach. Work and transfers take a start and a time
    for each sequence, so that a batch of k times the size takes k times as long at most: what surely took longer is no
    batch's doing. ``ms`` are times as they were, at no one size.
    """
    own, usual = batch[now][~np.isnan(batch[now])], batch[calm][~np.isnan(batch[calm])]
    if not own.size or not usual.size or median(own) <= np.quantile(usual, NORMAL_REACH):
        return False
    _, low, _ = median_effect(ms[now], ms[calm], "ratio")
    return low * median(usual) <= median(own)


def _sizes(batch: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The sizes that ran at least SHORTEST iterations, and how many."""
    sizes, counts = np.unique(batch[~np.isnan(batch)], return_counts=True)
    return sizes[counts >= SHORTEST], counts[counts >= SHORTEST]


def prompts_of(told: pl.DataFrame) -> NDArray[np.float64] | None:
    """Of how many sequences each iteration computed the prompt; None where nothing tells.

    Where steps of some requests were not recorded, batches seem to have such sequences always.
    """
    counts = told["prompts"].fill_null(0).cast(pl.Float64)
    return counts.to_numpy() if counts.max() and (counts == 0).sum() >= SHORTEST else None


def less_prompts(ms: NDArray[np.float64], prompts: NDArray[np.float64], calm: int) -> NDArray[np.float64]:
    """Times less what their ``prompts`` took, however many: learnt from the first ``calm`` iterations, nothing else."""
    return ms - (ms_a_sequence(ms[:calm], prompts[:calm]) or 0.0) * prompts


def at_no_prompt(
    ms: NDArray[np.float64], prompts: NDArray[np.float64], batch: NDArray[np.float64], tactic: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Times as they would be without the ``prompts`` that were computed beside: how many, an iteration.

    What one takes is learnt at one plan from all iterations, as ``at_one_size`` learns what a sequence takes: a prompt
    comes with any batch. NaN for more of them than SHORTEST had: what so many take nothing tells.
    """
    slope = ms_a_sequence(at_one_plan(ms, batch, tactic, ms.size), prompts)
    return np.where(prompts <= _sizes(prompts)[0].max(initial=0.0), ms - (slope or 0.0) * prompts, np.nan)


def at_one_plan(
    ms: NDArray[np.float64], batch: NDArray[np.float64], tactic: NDArray[np.int64], calm: int
) -> NDArray[np.float64]:
    """Times as they would be at one batch size and in one tactic: each tactic at the median level of all.

    Learnt from the first ``calm`` iterations alone; NaN for a tactic that ran fewer than SHORTEST of them.
    """
    flat = at_one_size(ms, batch, calm).copy()
    level = median(flat[:calm])
    for one in np.unique(tactic):
        own = tactic == one
        before = flat[:calm][own[:calm]]
        flat[own] += level - median(before) if before.size >= SHORTEST else np.nan
    return flat
