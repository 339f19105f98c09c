"""What a collective costs once all have arrived: latency and bandwidth, and when the fabric was slower."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl

from postmortem.analyses.rank_times import rank_times
from postmortem.analyses.stats.changepoint import SHORTEST, change_point, raised_spell
from postmortem.analyses.stats.intervals import RESAMPLES, block_length, median_effect
from postmortem.analyses.stats.level import ALPHA, CONFIDENCE
from postmortem.analyses.stats.median_mad import median
from postmortem.analyses.stretch import NORMAL_REACH, at_one_size, by_batch, less_prompts, prompts_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from postmortem.analyses.rank_times import RankTimes
    from postmortem.catalogue.catalogue import Catalogue

MESSAGES = 2_000  # looked at for a line, drawn at random where there are more: 999 resamples take a tenth of a second
SEED = 20_260_103  # fixed: the same bundle gives the same interval
SIZES = 16  # groups that different sizes are put into, equally full, where there are more of them


@dataclass(frozen=True)
class Line:
    """time = alpha + bytes / beta: ``alpha_us`` and ``beta_gbps`` (GB/s), each (value, low, high) at 95 %.

    beta is infinite where time does not grow with size.
    """

    alpha_us: tuple[float, float, float]
    beta_gbps: tuple[float, float, float]
    sizes: int
    messages: int


def alpha_beta(size: NDArray[np.int64], transfer_ns: NDArray[np.int64]) -> Line | None:
    """The line through the median transfer of each size (Hockney 1994), weighted by how many there are.

    Both shape (messages,), in order of time: the intervals are a moving-block bootstrap's, since a slow moment slows
    its neighbours (where those go together at 0.8, nine in ten hold the truth rather than 95 %). None of fewer than two
    sizes that have SHORTEST messages each.
    """
    rng = np.random.default_rng(SEED)
    if size.size > MESSAGES:  # at random: every so-many-th could be the same layer's
        some = np.sort(rng.choice(size.size, MESSAGES, replace=False))
        size, transfer_ns = size[some], transfer_ns[some]
    levels, group, counts = np.unique(size, return_inverse=True, return_counts=True)
    if levels.size > SIZES:
        ranked = np.argsort(np.argsort(size, kind="stable"), kind="stable")
        group = ranked * SIZES // size.size
        levels, counts = np.array([np.median(size[group == g]) for g in range(SIZES)]), np.bincount(group)
    enough = counts >= SHORTEST
    kept = enough[group]
    if enough.sum() < 2 or np.unique(levels[enough]).size < 2:
        return None
    group = np.cumsum(enough)[group[kept]] - 1
    x, y = levels[enough].astype(np.float64), transfer_ns[kept].astype(np.float64)
    n = y.size
    length = block_length(n)
    starts = rng.integers(0, n - length + 1, size=(RESAMPLES, -(-n // length), 1))
    drawn = (starts + np.arange(length)).reshape(RESAMPLES, -1)[:, :n]
    alphas, slopes = _lines(x, y, group, np.concatenate([np.arange(n)[None, :], drawn]))
    tail = (1 - CONFIDENCE) / 2
    known = ~np.isnan(slopes[1:])
    low_a, high_a = np.quantile(alphas[1:][known], [tail, 1 - tail]) / 1e3
    low_s, high_s = np.quantile(slopes[1:][known], [tail, 1 - tail])

    def beta(slope: float) -> float:
        return float("inf") if slope <= 0 else 1 / float(slope)  # bytes a ns are GB/s

    return Line(
        (float(alphas[0]) / 1e3, float(low_a), float(high_a)), (beta(slopes[0]), beta(high_s), beta(low_s)), x.size, n
    )


def _lines(
    x: NDArray[np.float64], y: NDArray[np.float64], group: NDArray[np.int64], drawn: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Intercept and slope of each row of ``drawn`` (indices of messages), NaN where it has one size alone."""
    # Places in the order of (size, time) stand for the messages: one sort puts each size's median at a known place.
    order = np.lexsort((y, group))
    place = np.empty(y.size, np.uint16 if y.size <= 1 << 16 else np.uint32)
    place[order] = np.arange(y.size)
    ranked = np.sort(place[drawn], axis=1)
    first = np.concatenate([[0], np.cumsum(np.bincount(group, minlength=x.size))])
    ends = np.stack([(ranked < edge).sum(axis=1) for edge in first], axis=1)
    counts = np.diff(ends, axis=1)
    rows = np.arange(len(drawn))[:, None]
    last = ranked.shape[1] - 1
    low, high = (np.minimum(last, ends[:, :-1] + (counts - k) // 2) for k in (1, 0))
    middle = (y[order][ranked[rows, low]] + y[order][ranked[rows, high]]) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        share = counts / counts.sum(axis=1, keepdims=True)
        at_x = (share * x).sum(axis=1)
        at_y = np.where(counts > 0, share * middle, 0.0).sum(axis=1)
        away = x - at_x[:, None]
        rise = np.where(counts > 0, share * away * (middle - at_y[:, None]), 0.0).sum(axis=1)
        slope = rise / (share * away**2).sum(axis=1)
    return at_y - slope * at_x, slope


@dataclass(frozen=True)
class Spell:
    """Iterations from ``first`` up to, and without, ``stop`` (indices): the fabric's regime, and transfer time
    over the normal one: (ratio, low, high). ``p_value`` is of the change that set it apart, NaN of a lone spell.
    """

    first: int
    stop: int
    regime: Literal["normal", "congested", "degraded", "undecided"]
    ratio: tuple[float, float, float]
    p_value: float


def fabric_regimes(transfer_ms: NDArray[np.float64]) -> list[Spell]:
    """Transfer time an iteration, cut where it changed its level beyond chance.

    The normal level is that of the longest spell. A spell is slow where the 95 % interval of its ratio to that
    lies above 1 and its median is one that fewer than 1 in 40 normal iterations reach (else the difference,
    real as it is, drowns in what is normal). It is *congested* if transfers were normal again after it,
    *degraded* if they stayed slow up to the end.
    """
    cuts, p_values = [0], [float("nan")]
    for index, p in _cuts(transfer_ms, 0, 1):
        cuts.append(index)
        p_values.append(p)
    cuts.append(transfer_ms.size)
    spans = list(pairwise(cuts))
    if not transfer_ms.size:
        return []
    longest = max(spans, key=lambda s: s[1] - s[0])
    usual = transfer_ms[slice(*longest)]
    ratios = [
        (1.0, 1.0, 1.0) if span == longest else median_effect(transfer_ms[slice(*span)], usual, "ratio")
        for span in spans
    ]
    reach = float(np.quantile(usual, NORMAL_REACH))

    def surely_above(own: NDArray[np.float64], ratio: tuple[float, float, float]) -> bool:
        if math.isfinite(ratio[0]):
            return ratio[1] > 1
        return median_effect(own, usual, "difference")[1] > 0  # of no time at all there is no multiple

    slow = [
        surely_above(own, ratio) and float(np.median(own)) > reach
        for own, ratio in zip((transfer_ms[slice(*span)] for span in spans), ratios, strict=True)
    ]
    if len(p_values) > 1:
        p_values[0] = p_values[1]  # the first spell is told from the second by the same change
    spells = []
    for i, (span, ratio, p) in enumerate(zip(spans, ratios, p_values, strict=True)):
        regime: Literal["normal", "congested", "degraded"] = "normal"
        if slow[i]:
            regime = "congested" if not all(slow[i:]) else "degraded"
        spells.append(Spell(*span, regime, ratio, p))
    return spells


def _cuts(values: NDArray[np.float64], first: int, looks: int) -> list[tuple[int, float]]:
    """Binary segmentation: changes of level, else a spell, which far from either end is no clear change of level.

    Those that stay significant when corrected for the splits before them, and a spell for both looks.
    """
    found = change_point(values)
    ends, p_value = ([], 1.0) if found is None else ([found.index], found.p_value * looks)
    if p_value > ALPHA and (once := raised_spell(values)) is not None:
        ends, p_value = [end for end in (once.first, once.stop) if 0 < end < values.size], 2 * once.p_value * looks
    if p_value > ALPHA:
        return []
    cuts: list[tuple[int, float]] = []
    for start, stop in pairwise([0, *ends, values.size]):
        cuts += [(first + start, p_value)] if start else []
        cuts += _cuts(values[start:stop], first + start, (1 + len(ends)) * looks)
    return cuts


def spells_of(catalogue: Catalogue, replica: str | None) -> tuple[RankTimes, NDArray[np.float64], list[Spell]] | None:
    """A replica's times, its transfer an iteration at one batch size (ms), the fabric's spells; None of one rank.

    Where ranks are absent, slow spells are undecided: the others may have waited for one of them. So is one whose batch
    was larger than when normal, and which took longer by no more than that, and one that computed more prompts.
    """
    times = rank_times(catalogue, replica)
    if times is None or len(times.ranks) < 2:
        return None
    transfer: NDArray[np.float64] = times.transfer_ms.min(axis=1)  # of the rank that saw least of it
    sizes, prompts = _ran(catalogue, replica, times)
    change = change_point(transfer)
    calm = change.index if change else transfer.size
    flat = at_one_size(less_prompts(transfer, prompts, calm), sizes, calm)  # prompts, and a larger batch, send more
    spells = fabric_regimes(flat)
    normal = np.concatenate([np.arange(s.first, s.stop) for s in spells if s.regime == "normal"] or [np.arange(0)])

    def decided(spell: Spell) -> bool:
        own = np.arange(spell.first, spell.stop)
        more = bool(normal.size) and median(prompts[own]) > np.quantile(prompts[normal], NORMAL_REACH)
        return not (times.absent or more or by_batch(transfer, sizes, own, normal))

    spells = [s if s.regime == "normal" or decided(s) else replace(s, regime="undecided") for s in spells]
    return times, flat, spells


def _ran(
    catalogue: Catalogue, replica: str | None, times: RankTimes
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The batch of each iteration, NaN where no s record tells it, and its prompts, 0 where nothing tells them."""
    n = times.iterations.size
    if replica is None:
        return np.full(n, np.nan), np.zeros(n)
    engine = catalogue.kept("iterations", replica=replica).select("iteration", "batch_size", "prompts")
    told = pl.DataFrame({"iteration": times.iterations}).join(
        engine.unique("iteration", keep="first"), on="iteration", how="left", maintain_order="left"
    )
    prompts = prompts_of(told)
    sizes: NDArray[np.float64] = told["batch_size"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return sizes, np.zeros(n) if prompts is None else prompts


def sent_by_regime(catalogue: Catalogue) -> pl.DataFrame:
    """Collectives whose size is recorded (see collective_laps), sorted by replica and time, each with its ``regime``.

    That of the fabric in its iteration; NULL where none is recorded, and outside of those that all ranks recorded.
    """
    sent = catalogue.view("collective_laps").filter(pl.col("bytes").is_not_null()).sort("replica", "arrival_ns")
    parts = [
        part.with_columns(regime=_regimes(catalogue, None if replica is None else str(replica), part["iteration"]))
        for (replica,), part in sent.group_by("replica", maintain_order=True)
    ]
    return pl.concat(parts) if parts else sent.with_columns(regime=pl.lit(None, dtype=pl.String))


def _regimes(catalogue: Catalogue, replica: str | None, iterations: pl.Series) -> pl.Series:
    found = spells_of(catalogue, replica)
    if found is None:
        return pl.Series([None] * len(iterations), dtype=pl.String)
    times, _, spells = found
    begun = np.array([times.iterations[s.first] for s in spells])
    numbers = iterations.fill_null(begun[0] - 1).to_numpy()
    at = np.where(numbers > times.iterations[-1], -1, np.searchsorted(begun, numbers, side="right") - 1)
    return pl.Series([spells[i].regime if i >= 0 else None for i in at], dtype=pl.String)
