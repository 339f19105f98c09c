"""A batch that was cut because it had filled: the fuller one took longer, and the scheduler answered to that."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isnan
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.counterfactual import share_removed
from postmortem.analyses.stats.changepoint import SHORTEST
from postmortem.analyses.stats.intervals import median_effect
from postmortem.analyses.stats.median_mad import median
from postmortem.analyses.stats.permutation import p_of
from postmortem.analyses.stretch import ms_a_sequence
from postmortem.base.units import with_unit
from postmortem.chain.grade import ALPHA, HALF
from postmortem.chain.upstream import FARTHEST, upstream

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from postmortem.chain.case import Case
    from postmortem.chain.model import Link


@dataclass(frozen=True)
class Filled:
    """Iterations in one tactic just before a cut, whose batch stood nearer to its ``top`` than to its ``usual`` size.

    ``came``: the iteration up to which those that filled it had come: the first of these, or the cut before, where they
    had been held back since. ``ratio``: the length of the iterations over that of those at about the usual size;
    ``share``: how much of what they took longer goes at the usual size; both with their 95 % intervals.
    ``p_value``: how often as many took as long that were no fuller.
    """

    usual: int
    top: int
    came: int
    ratio: tuple[float, float, float]
    share: tuple[float, float, float]
    p_value: float

    @property
    def carries(self) -> bool:
        """Whether the fuller batch took longer beyond chance, and at least half of that is its being fuller."""
        return self.p_value <= ALPHA and self.ratio[1] > 1 and self.share[0] >= HALF

    @property
    def says(self) -> str:
        """What the fuller batch did, as part of a sentence."""
        longer = with_unit(self.ratio[0], "ratio")
        return f"the batch filled from {self.usual} to {self.top}, and its iterations took {longer} the usual time"


def filled(case: Case, effect: Link) -> Filled | None:
    """The fuller batch before a cut; None where it was no fuller than usual, or nothing tells how long it took.

    ``effect`` is the link of the batch change: the cut, or the rise with which those came in that it had held back.
    """
    facts = effect.facts
    if facts.get("ebb") or not (facts.get("direction") == "drop" or facts.get("backlog")):
        return None
    cut = int(facts["cut"])
    return case.worked_out("filled", lambda: _filled(case, effect, cut), cut, facts["stop"], facts["tactic"])


def _filled(case: Case, effect: Link, cut: int) -> Filled | None:
    rows = case.iterations.filter(
        (pl.col("iteration") < cut) & pl.col("batch_size").is_not_null() & pl.col("gpu_ms").is_not_null()
    ).tail(FARTHEST)
    sizes, ms = rows["batch_size"].to_numpy(), rows["gpu_ms"].to_numpy()
    named = rows["baseline"].fill_null(value=False).to_numpy()
    if not sizes.size:
        return None
    usual, top = round(median(sizes[named] if named.sum() >= SHORTEST else sizes)), int(sizes[-1])
    if not 0 < usual < top:
        return None
    reach = HALF * (top - usual)
    alike = (sizes > usual + reach) & rows["algo_id"].eq_missing(rows["algo_id"][-1]).to_numpy()
    n = int(np.argmin(alike[::-1])) or alike.size  # that many in a row at the end
    before, now = ms[:-n], ms[-n:]
    usually = before[np.abs(sizes[:-n] - usual) <= reach]
    if usually.size < SHORTEST:
        return None
    first = rows.height - n
    own = min(
        median(now) - median(usually),
        _by_size(case, effect, rows, n, usual, reach),
        _on_every_rank(case, rows["iteration"].to_numpy(), n, np.abs(sizes[:-n] - usual) <= reach),
    )
    others = before[sizes[:-n] <= usual + reach]
    runs = np.lib.stride_tricks.sliding_window_view(others, min(n, others.size))
    return Filled(
        usual,
        top,
        _came(rows, first, usual),
        median_effect(now, usually, "ratio"),
        _whole(share_removed(now, now - max(0.0, own), usually)),
        p_of(median(now), np.median(runs, axis=1)),
    )


def _whole(share: tuple[float, float, float]) -> tuple[float, float, float]:
    """No more than all of it, and nothing of nothing."""
    middle, low, high = (0.0 if isnan(x) else min(1.0, x) for x in share)
    return middle, low, high


def _by_size(case: Case, effect: Link, rows: pl.DataFrame, n: int, usual: int, reach: float) -> float:
    """At most how much longer the last ``n`` iterations took for being fuller, ms.

    What a sequence more takes is learnt from calm iterations in their tactic, else in any. Where one size alone ran:
    work is at most in proportion to the sequences, and what had got longer before the batch filled is not its doing.
    """
    sizes, ms = rows["batch_size"].cast(pl.Float64).to_numpy(), rows["gpu_ms"].to_numpy()
    up = upstream(case, effect)
    stretched = up if up is not None and up.significant else None
    calm = rows.height - n
    if stretched is not None:
        calm = min(calm, int(np.searchsorted(rows["iteration"].to_numpy(), stretched.window.first)))
    alike = rows["algo_id"].eq_missing(rows["algo_id"][-1]).to_numpy()[:calm]
    slope = ms_a_sequence(ms[:calm][alike], sizes[:calm][alike])
    slope = ms_a_sequence(ms[:calm], sizes[:calm]) if slope is None else slope
    if slope is not None:
        return slope * (median(sizes[-n:]) - usual)
    level = median(ms[:-n][np.abs(sizes[:-n] - usual) <= reach])
    alone = 0.0
    if stretched is not None and stretched.found is not None:
        others = rows["iteration"].to_numpy()[:-n][sizes[:-n] <= usual + reach]
        mine = stretched.found.now[np.isin(stretched.iterations[stretched.found.now], others)]
        if mine.size >= SHORTEST:
            alone = median(stretched.total_ms[mine]) - stretched.found.total_calm_ms
    return min(median(ms[-n:]) - level - alone, level * (float(sizes[-1]) / usual - 1))


def _on_every_rank(case: Case, iterations: NDArray[np.int64], n: int, usually: NDArray[np.bool_]) -> float:
    """How much longer even the fastest rank computed in the last ``n``, ms; without limit where no rank's time is told.

    A late rank lengthens the iteration for all, and the work of none of the others.
    """
    times = case.rank_times
    if times is None:
        return inf
    least = times.compute_ms.min(axis=1)
    now, before = (least[np.isin(times.iterations, of)] for of in (iterations[-n:], iterations[:-n][usually]))
    return median(now) - median(before) if now.size and before.size else inf


def _came(rows: pl.DataFrame, first: int, usual: int) -> int:
    """The iteration of the cut since which some had waited up to ``first``, an index; else that of ``first`` itself."""
    waiting, sizes = rows["waiting"].fill_null(0).to_list(), rows["batch_size"].to_list()
    since = first
    while since > 0 and waiting[since - 1] > 0:
        since -= 1
        if sizes[since] < usual <= sizes[since - 1]:
            return int(rows["iteration"][since])
    return int(rows["iteration"][first])
