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
from postmortem.analyses.stats.level import ALPHA
from postmortem.analyses.stats.median_mad import median
from postmortem.analyses.stats.permutation import p_of
from postmortem.analyses.stretch import NORMAL_REACH, less_prompts, ms_a_sequence, prompts_of
from postmortem.base.units import with_unit
from postmortem.chain.grade import HALF
from postmortem.chain.upstream import FARTHEST, upstream, upstream_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from postmortem.chain.case import Case
    from postmortem.chain.model import Link
    from postmortem.chain.upstream import Upstream


@dataclass(frozen=True)
class Filled:
    """Iterations in one tactic just before a cut, whose batch stood nearer to its ``top`` than to its ``usual`` size.

    ``came``: the iteration in which those that filled it had come. ``held_since``: the earlier cut since which they had
    been held back, if they were. ``longer_ms`` and ``ratio``: the length of the iterations against those at about the
    usual size; ``share``: how much of what they took longer goes at the usual size; ratio and share with their 95 %
    intervals. ``at_most``: how much of it may, where calm batches were all far smaller. ``p_value``: how often as many
    took as long that were no fuller, when calm.
    """

    usual: int
    top: int
    came: int
    held_since: int | None
    longer_ms: float
    ratio: tuple[float, float, float]
    share: tuple[float, float, float]
    at_most: float
    p_value: float

    @property
    def carries(self) -> bool:
        """Whether the fuller batch took longer beyond chance, and at least half of that is its being fuller."""
        return self._longer and self.share[0] >= HALF

    @property
    def may_carry(self) -> bool:
        """Whether that may be, for all that smaller batches tell."""
        return self._longer and self.at_most >= HALF

    @property
    def _longer(self) -> bool:
        return self.p_value <= ALPHA and self.ratio[1] > 1

    @property
    def says(self) -> str:
        """What the fuller batch did, as part of a sentence."""
        longer = with_unit(self.ratio[0], "ratio")
        return f"the batch filled from {self.usual} to {self.top}, and its iterations took {longer} the usual time"


def filled(case: Case, effect: Link) -> Filled | None:
    """The fuller batch before a cut; None where it was no fuller than usual, or nothing tells how long it took, and
    where nobody was kept waiting, or isolation changed in the same iteration: that is no answer to long iterations.

    ``effect`` is the link of the batch change: the cut, or the rise with which those came in that it had held back.
    """
    facts = effect.facts
    if facts.get("ebb") or facts.get("posture") or not (facts.get("direction") == "drop" or facts.get("backlog")):
        return None
    return case.worked_out("filled", lambda: _filled(case, effect), facts["stop"], facts["tactic"])


def _filled(case: Case, effect: Link) -> Filled | None:
    rows = case.iterations.filter(
        pl.col("iteration") < effect.facts["stop"],
        pl.all_horizontal(pl.col("batch_size", "algo_id", "gpu_ms").is_not_null()),
    ).tail(FARTHEST)
    numbers, sizes, ms = (rows[c].to_numpy() for c in ("iteration", "batch_size", "gpu_ms"))
    named = rows["baseline"].fill_null(value=False).to_numpy()
    if not sizes.size:
        return None
    usual, top = round(median(sizes[named] if named.sum() >= SHORTEST else sizes)), int(sizes[-1])
    if not 0 < usual < top:
        return None
    reach = HALF * (top - usual)
    alike = (sizes > usual + reach) & (rows["algo_id"] == rows["algo_id"][-1]).to_numpy()
    n = int(np.argmin(alike[::-1])) or alike.size  # that many in a row at the end
    first = rows.height - n
    up = upstream(case, effect)
    stretched = up if up is not None and up.significant else None
    if stretched is not None and stretched.window.first > numbers[first]:
        # the scheduler had borne the fuller batch until its iterations got longer still
        n = rows.height - int(np.searchsorted(numbers, stretched.window.first))
    held = _held_since(rows, first, usual)
    calm = rows.height - n if held is None else _calm_before(case, rows, held, usual)
    usually = np.flatnonzero(np.abs(sizes[:calm] - usual) <= reach)
    if n < 1 or usually.size < SHORTEST:
        return None
    prompts = prompts_of(rows)
    if prompts is not None:  # each takes its time once: what being fuller takes is told without
        ms = less_prompts(ms, prompts, calm)
        rows = rows.with_columns(pl.Series("gpu_ms", ms))
    now = ms[-n:]
    most = min(median(now) - median(ms[usually]), _on_every_rank(case, numbers[-n:], numbers[usually]))
    own, at_most = (min(most, by_size) for by_size in _by_size(rows, n, usual, reach, stretched))
    others = ms[:calm][sizes[:calm] <= usual + reach]
    runs = np.lib.stride_tricks.sliding_window_view(others, min(n, others.size))
    return Filled(
        usual,
        top,
        int(numbers[first + int(np.argmax(sizes[first:] >= top))]),
        None if held is None else int(numbers[held]),
        median(now) - median(ms[usually]),
        median_effect(now, ms[usually], "ratio"),
        _whole(share_removed(now, now - max(0.0, own), ms[usually])),
        _whole(share_removed(now, now - max(0.0, at_most), ms[usually]))[0],
        p_of(median(now), np.median(runs, axis=1)),
    )


def _held_since(rows: pl.DataFrame, first: int, usual: int) -> int | None:
    """Index of the cut since which some had waited up to the iteration at index ``first``; None where none had."""
    waiting, sizes = rows["waiting"].fill_null(0).to_list(), rows["batch_size"].to_list()
    since = first
    while since > 1 and waiting[since - 1] > 0:
        since -= 1
        if sizes[since] < usual <= sizes[since - 1]:
            return since
    return None


def _calm_before(case: Case, rows: pl.DataFrame, cut: int, usual: int) -> int:
    """Index of the first iteration of the stretch that led to the cut at index ``cut``, where one did; else ``cut``.

    A cut of a batch that those had filled whom an earlier cut had held back goes back to that one.
    """
    numbers, sizes = rows["iteration"].to_numpy(), rows["batch_size"].to_numpy()
    held: int | None = cut
    while held is not None:
        cut = held
        slim = np.flatnonzero(sizes[:cut] <= usual)
        held = _held_since(rows, int(slim[-1]) + 1 if slim.size else 0, usual)
    up = upstream_of(case, int(numbers[cut]), rows["algo_id"][cut - 1])
    return int(np.searchsorted(numbers, up.window.first)) if up is not None and up.significant else cut


def _whole(share: tuple[float, float, float]) -> tuple[float, float, float]:
    """No more than all of it, and nothing of nothing."""
    middle, low, high = (0.0 if isnan(x) else min(1.0, x) for x in share)
    return middle, low, high


def _by_size(rows: pl.DataFrame, n: int, usual: int, reach: float, stretched: Upstream | None) -> tuple[float, float]:
    """How much longer the last ``n`` iterations took for being fuller, and at most may have taken, ms.

    What a sequence more takes is learnt from calm iterations in their tactic, else in any. Where one size alone ran:
    work is at most in proportion to the sequences, and what had got longer before the batch filled is not its doing.
    That is the most, too, where all were far smaller: servers pad batches to set sizes, up to which all take the same.
    """
    sizes, ms = rows["batch_size"].cast(pl.Float64).to_numpy(), rows["gpu_ms"].to_numpy()
    calm = rows.height - n
    if stretched is not None:
        calm = min(calm, int(np.searchsorted(rows["iteration"].to_numpy(), stretched.window.first)))
    alike = (rows["algo_id"] == rows["algo_id"][-1]).to_numpy()[:calm]
    slope = ms_a_sequence(ms[:calm][alike], sizes[:calm][alike])
    slope = ms_a_sequence(ms[:calm], sizes[:calm]) if slope is None else slope
    by_slope = None if slope is None else slope * (median(sizes[-n:]) - usual)
    if by_slope is not None and median(sizes[-n:]) <= np.quantile(sizes[:calm], NORMAL_REACH):
        return by_slope, by_slope
    level = median(ms[:-n][np.abs(sizes[:-n] - usual) <= reach])
    alone = 0.0
    if stretched is not None and stretched.found is not None:
        others = rows["iteration"].to_numpy()[:-n][sizes[:-n] <= usual + reach]
        mine = stretched.found.now[np.isin(stretched.iterations[stretched.found.now], others)]
        if mine.size >= SHORTEST:
            alone = median(stretched.total_ms[mine]) - stretched.found.total_calm_ms
    most = min(median(ms[-n:]) - level - alone, level * (float(sizes[-1]) / usual - 1))
    return (most, most) if by_slope is None else (by_slope, max(by_slope, most))


def _on_every_rank(case: Case, now: NDArray[np.int64], usually: NDArray[np.int64]) -> float:
    """How much longer even the fastest rank computed in iterations ``now``, ms; no limit where no rank's time is told.

    A late rank lengthens the iteration for all, and the work of none of the others.
    """
    times = case.rank_times
    if times is None:
        return inf
    least = times.compute_ms.min(axis=1)
    full, calm = (least[np.isin(times.iterations, of)] for of in (now, usually))
    return median(full) - median(calm) if full.size and calm.size else inf
