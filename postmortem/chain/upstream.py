"""The iterations upstream of a batch change, in the calm tactic's shape: calm ones, then stretched ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.stats.changepoint import SHORTEST, change_point
from postmortem.analyses.stats.level import ALPHA
from postmortem.analyses.stats.median_mad import median
from postmortem.analyses.stretch import (
    Stretch,
    against,
    at_no_prompt,
    at_one_plan,
    lately,
    prompts_of,
    size_doubt,
    slope_doubt,
    stretch,
)
from postmortem.base.window import Window
from postmortem.chain.grade import HALF

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from postmortem.analyses.rank_times import RankTimes
    from postmortem.chain.case import Case
    from postmortem.chain.model import Link


# How far back the walk looks for where iterations got longer: minutes of decoding, and the scheduler
# answers within seconds.
FARTHEST = 10_000
LESS = ", less what prompts took"  # of a source whose times are told without them


@dataclass(frozen=True)
class Upstream:
    """Arrays in step with ``iterations``, ms at one batch size and at no prompt, of which ``batch`` are those that ran.

    ``comm_ms``: the longest of any rank in collectives; ``transfer_ms``: the least once all had arrived;
    ``compute_ms``: the least of any rank. ``as_ran``: the parts by name at the sizes that ran. ``unknown``: most of the
    last that ran are left out, as they computed more prompts than enough others did to tell what so many take.
    """

    iterations: NDArray[np.int64]
    batch: NDArray[np.float64]
    total_ms: NDArray[np.float64]
    comm_ms: NDArray[np.float64] | None
    transfer_ms: NDArray[np.float64] | None
    compute_ms: NDArray[np.float64] | None
    as_ran: dict[str, NDArray[np.float64]]
    unknown: bool
    found: Stretch | None
    ranks: RankTimes | None
    rows: NDArray[np.int64] | None
    source: str

    @property
    def window(self) -> Window:
        """The stretched iterations."""
        assert self.found is not None  # noqa: S101  asked only of a stretch that was found
        return Window(int(self.iterations[self.found.now[0]]), int(self.iterations[-1]) + 1)

    @property
    def calm_window(self) -> list[int]:
        """First calm iteration, and the one after the last."""
        assert self.found is not None  # noqa: S101  asked only of a stretch that was found
        return [int(self.iterations[self.found.calm[0]]), int(self.iterations[self.found.calm[-1]]) + 1]

    @property
    def significant(self) -> bool:
        """Whether iterations got longer, beyond chance and with the interval above 1, and still were at the end."""
        found = self.found
        return found is not None and found.change.p_value <= ALPHA and found.ratio[1] > 1 and self.calm_again is None

    @cached_property
    def calm_again(self) -> int | None:
        """The iteration since which they were nearer to their calm length again; None where they stayed long."""
        assert self.found is not None  # noqa: S101  asked only of a stretch that was found
        now = self.total_ms[self.found.now]
        later = change_point(now)
        if later is None or later.rises or later.p_value > ALPHA:
            return None
        long, since = median(now[: later.index]), median(now[later.index :])
        return (
            int(self.iterations[self.found.now[later.index]]) if 2 * since < long + self.found.total_calm_ms else None
        )

    def may_raise(self, effect: Link) -> bool:
        """Whether iterations this much longer may raise the batch by half of what it rose by, and more.

        Little 1961: at the same arrivals, as many more run at once as each takes longer. A batch that filled with those
        whom a cut had held back does not follow that.
        """
        assert self.found is not None  # noqa: S101  asked only of a stretch that was found
        before, rise = effect.facts["before"], effect.facts["after"] - effect.facts["before"]
        return bool(effect.facts["backlog"] or before * (self.found.ratio[2] - 1) >= HALF * rise)


def upstream(case: Case, effect: Link) -> Upstream | None:
    """Iterations before the effect, at one plan: what got longer there did so by itself. None: times not recorded.

    First those that ran the calm tactic, which holds the shape class still. Where these show nothing, since the batch
    had left the class by itself before, those of all tactics, each taken at its own calm level. Where prompts computed
    in between leave it open, those that decoded alone. Ranks' own times where every rank recorded them, else the
    engine's.
    """
    return upstream_of(case, effect.facts["stop"], effect.facts["tactic"])


def upstream_of(case: Case, stop: int, tactic: str) -> Upstream | None:
    """The same for iterations before ``stop``, of which those with ``tactic`` are looked at first."""
    waiting = _waiting(case)

    def look() -> Upstream | None:
        before = case.iterations.filter(pl.col("iteration") < stop)
        every = before.filter(pl.col("algo_id").is_not_null())
        ran = _times(case, every, waiting)
        if ran is None:
            return None
        calm = _look(ran, pl.col("algo_id") == tactic, 1)
        if calm is not None and calm.significant:
            return calm
        wide = _look(ran, pl.lit(value=True), 2)
        if wide is not None and wide.significant:
            return wide
        decoded = (pl.col("algo_id") == tactic) & (pl.col("prompts") == 0)
        alone = _look(ran, decoded, 3) if ran.prompts is not None else None
        if alone is not None and alone.significant:
            return replace(alone, source=f"{ran.source.removesuffix(LESS)}, where no prompt was computed")
        tells = calm is not None and calm.iterations.size >= 2 * SHORTEST  # of fewer, no two levels
        return calm if tells or wide is None else wide

    return case.worked_out("upstream", look, stop, tactic, waiting)


@dataclass(frozen=True)
class _Times:
    """Iterations as they ran, and how long their parts took without the prompts they computed (NaN: that is not known).

    ``parts``: "total", "comm", "transfer" and "compute" in ms, in step with ``told`` and ``rows`` of ``ranks``.
    """

    told: pl.DataFrame
    parts: dict[str, NDArray[np.float64]]
    ranks: RankTimes | None
    rows: NDArray[np.int64] | None
    source: str
    prompts: NDArray[np.float64] | None


def _times(case: Case, every: pl.DataFrame, waiting: float) -> _Times | None:
    """The times of the last FARTHEST of ``every`` iteration, of each rank or else the engine's; None: not recorded."""
    every = every.tail(FARTHEST)
    times, rows = case.rank_times, None
    if times is not None:
        rows = np.flatnonzero(np.isin(times.iterations, every["iteration"].to_numpy()))
    if times is not None and rows is not None and rows.size:
        told = every.filter(np.isin(every["iteration"].to_numpy(), times.iterations))
        parts = {
            "total": np.median(times.total_ms[rows], axis=1),
            "comm": (times.transfer_ms[rows] + times.wait_ms[rows]).max(axis=1),
            "transfer": times.transfer_ms[rows].min(axis=1),  # slower on all ranks: the one that saw least of it
            "compute": times.compute_ms[rows].min(axis=1),
        }
        source = f"{times.source} of every rank"
    else:
        times = rows = None
        told = every.filter(pl.col("gpu_ms").is_not_null())
        if told.is_empty():
            return None
        parts = {"total": told["gpu_ms"].to_numpy()}
        if not told["comm_ms"].null_count():
            parts["comm"] = np.minimum(parts["total"], told["comm_ms"].to_numpy() * waiting)
            parts["compute"] = parts["total"] - parts["comm"]
        source = "the engine's s records"
    prompts = prompts_of(told)
    if prompts is not None:
        sizes, tactics = _plans(told)
        parts = {part: at_no_prompt(ms, prompts, sizes, tactics) for part, ms in parts.items()}
        source += LESS
    return _Times(told, parts, times, rows, source, prompts)


def _plans(told: pl.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Batch sizes (NaN: not recorded) and tactics (numbered)."""
    sizes = told["batch_size"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    return sizes, told["algo_id"].rank("dense").to_numpy()


def _look(ran: _Times, of: pl.Expr, looks: int) -> Upstream | None:
    """Those iterations, at one plan: where they seem to stretch, what batch and tactic do to them is taken off first.

    The p-value is corrected for the ``looks`` taken. Where bundle.toml names a baseline in which enough of them ran,
    these are the calm ones, and those before it are left out. None where there are none.
    """
    chosen = ran.told.with_row_index("at").filter(of)["at"].to_numpy().astype(np.int64)
    named = ran.told["baseline"].fill_null(value=False).to_numpy()
    if named[chosen].sum() >= SHORTEST:
        chosen = chosen[chosen >= chosen[named[chosen]][0]]
    kept = chosen[~np.isnan(ran.parts["total"][chosen])]
    # the median of fewer than SHORTEST of them says nothing of their level
    unknown = bool(np.isin(chosen[-2 * SHORTEST :], kept).sum() < min(SHORTEST, chosen.size))
    if not kept.size:
        return None
    sizes, tactics = (values[kept] for values in _plans(ran.told))
    parts = {part: ms[kept] for part, ms in ran.parts.items()}
    total = parts["total"]
    # what a level of a mixture is, nobody knows: the first guess is that most were calm
    if np.unique(tactics).size > 1:
        flat = at_one_plan(total, sizes, tactics, total.size)
        known = np.flatnonzero(~np.isnan(flat))
        found = stretch(flat[known])
        calm = None if found is None else int(known[found.calm[-1]]) + 1
    else:
        found = stretch(total)
        calm = None if found is None else int(found.calm[-1]) + 1
    as_ran, at_one = parts, dict(parts)
    if calm is not None:
        flat = at_one_plan(total, sizes, tactics, calm)
        known = ~np.isnan(flat)
        at_one = {part: np.maximum(0.0, at_one_plan(ms, sizes, tactics, calm)[known]) for part, ms in parts.items()}
        at_one["total"] = total = flat[known]
        kept, sizes, as_ran = kept[known], sizes[known], {part: ms[known] for part, ms in parts.items()}
        found = _latest(ran.told["iteration"].to_numpy()[kept], total, named[kept], looks)
    if found is not None and found.total_calm_ms > 0:
        least, most = size_doubt(total, sizes, found.calm, found.now)
        if ran.prompts is not None:  # what one takes was learnt from all
            prompts = ran.prompts[kept]
            more = abs(median(prompts[found.now]) - median(prompts[found.calm])) * (slope_doubt(total, prompts) or 0.0)
            least, most = least - more, most + more
        (ratio, low, high), calm_ms = found.ratio, found.total_calm_ms
        found = replace(found, ratio=(ratio, low - most / calm_ms, high - least / calm_ms))
    numbers, rows = ran.told["iteration"].to_numpy()[kept], None if ran.rows is None else ran.rows[kept]
    comm, transfer, compute = (at_one.get(part) for part in ("comm", "transfer", "compute"))
    return Upstream(
        numbers, sizes, total, comm, transfer, compute, as_ran, unknown, found, ran.ranks, rows, ran.source
    )  # fmt: skip


def _latest(
    iterations: NDArray[np.int64], total: NDArray[np.float64], named: NDArray[np.bool_], looks: int
) -> Stretch | None:
    """The stretch that ran into the effect: of all iterations since it began, or of those of the last run alone.

    A cause that comes and goes, with a batch that is cut and filled again each time, leaves most iterations between
    calm. Where other plans ran in between, and those of the last run took clearly longer than all of them, it is they.
    """
    breaks = np.flatnonzero(np.diff(iterations) > 1)
    looks *= 2 if breaks.size else 1
    found = stretch(total, looks)
    # where the first began is no claim yet: one look was taken for that
    if found is not None and breaks.size and found.change.p_value <= ALPHA * looks:
        last = lately(total, found, int(breaks[-1]) + 1, looks)
        if last is not None and last.change.p_value <= ALPHA and last.ratio[1] > found.ratio[0]:
            found = last
    if found is not None and named.sum() >= SHORTEST:
        found = against(total, found, np.flatnonzero(named))
    return found


def _waiting(case: Case) -> float:
    """The engine reports the mean over ranks; with one of N late, the N - 1 that wait spend N / (N - 1) times that.

    N from ``tp=`` of the request's own shape; where it is not recorded, 2: the fewest that can wait.
    """
    shapes = case.steps["shape"].drop_nulls()
    named = shapes.str.extract(r"(?:^|,)tp=(\d+)").drop_nulls()
    ranks = max(2, int(named[0])) if named.len() else 2
    return ranks / (ranks - 1)
