"""The iterations upstream of a batch change, in the calm tactic's shape: calm ones, then stretched ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.stretch import Stretch, at_one_size, stretch
from postmortem.base.window import Window
from postmortem.chain.grade import ALPHA

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from postmortem.analyses.rank_times import RankTimes
    from postmortem.chain.case import Case
    from postmortem.chain.model import Link


# How far back the walk looks for where iterations got longer: minutes of decoding, and the scheduler
# answers within seconds.
FARTHEST = 10_000


@dataclass(frozen=True)
class Upstream:
    """Arrays in step with ``iterations``, ms at one batch size; ``comm_ms``: the longest of any rank in collectives."""

    iterations: NDArray[np.int64]
    total_ms: NDArray[np.float64]
    comm_ms: NDArray[np.float64] | None
    compute_ms: NDArray[np.float64] | None
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
        """Whether iterations got longer at all, beyond chance and with the interval above 1."""
        return self.found is not None and self.found.change.p_value <= ALPHA and self.found.ratio[1] > 1


def upstream(case: Case, effect: Link) -> Upstream | None:
    """Iterations before the effect that ran the calm tactic. None where their times are not recorded.

    The calm tactic holds the shape class still, so that a larger batch does not look like a stall.
    Ranks' own times where every rank recorded them, else the engine's.
    """
    stop, tactic, waiting = effect.facts["stop"], effect.facts["tactic"], _waiting(case)
    return case.worked_out("upstream", lambda: _look(case, stop, tactic, waiting), stop, tactic, waiting)


def _look(case: Case, stop: int, tactic: str, waiting: float) -> Upstream | None:
    before = case.iterations.filter((pl.col("iteration") < stop) & (pl.col("algo_id") == tactic)).tail(FARTHEST)
    times = case.rank_times
    if times is not None:
        rows = np.flatnonzero(np.isin(times.iterations, before["iteration"].to_numpy()))
        if rows.size:
            sizes = before.filter(np.isin(before["iteration"].to_numpy(), times.iterations))["batch_size"]
            return _upstream(
                times.iterations[rows],
                sizes,
                np.median(times.total_ms[rows], axis=1),
                (times.transfer_ms[rows] + times.wait_ms[rows]).max(axis=1),
                times.compute_ms[rows].min(axis=1),
                times,
                rows,
                f"{times.source} of every rank",
            )
    told = before.filter(pl.col("gpu_ms").is_not_null())
    if told.is_empty():
        return None
    total = told["gpu_ms"].to_numpy()
    comm = None if told["comm_ms"].null_count() else np.minimum(total, told["comm_ms"].to_numpy() * waiting)
    compute = None if comm is None else total - comm
    numbers = told["iteration"].to_numpy()
    return _upstream(numbers, told["batch_size"], total, comm, compute, None, None, "the engine's s records")


def _upstream(
    iterations: NDArray[np.int64],
    batch: pl.Series,
    total: NDArray[np.float64],
    comm: NDArray[np.float64] | None,
    compute: NDArray[np.float64] | None,
    ranks: RankTimes | None,
    rows: NDArray[np.int64] | None,
    source: str,
) -> Upstream:
    """Times at one batch size: where they seem to stretch, what the batch does to them is taken off first."""
    sizes = batch.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    found = stretch(total)
    if found is not None:
        calm = int(found.calm[-1]) + 1
        total = at_one_size(total, sizes, calm)
        comm = None if comm is None else at_one_size(comm, sizes, calm)
        compute = None if compute is None else at_one_size(compute, sizes, calm)
        found = stretch(total)
    return Upstream(iterations, total, comm, compute, found, ranks, rows, source)


def _waiting(case: Case) -> float:
    """The engine reports the mean over ranks; with one of N late, the N - 1 that wait spend N / (N - 1) times that.

    N from ``tp=`` of the request's own shape; where it is not recorded, 2: the fewest that can wait.
    """
    shapes = case.steps["shape"].drop_nulls()
    named = shapes.str.extract(r"(?:^|,)tp=(\d+)").drop_nulls()
    ranks = max(2, int(named[0])) if named.len() else 2
    return ranks / (ranks - 1)
