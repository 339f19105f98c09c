"""Where each rank's time went, iteration by iteration, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from postmortem.analyses.lateness import lead_of_others

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from postmortem.catalogue.catalogue import Catalogue


@dataclass(frozen=True)
class RankTimes:
    """Where each rank's time went; arrays of shape (iterations, ranks), ms, in step with ``iterations``.

    ``absent``: how many more ranks the replica has at least. Above 0 nothing tells when all had arrived, and
    ``transfer_ms`` may hold the wait for one that is not here.
    """

    iterations: NDArray[np.int64]
    ranks: tuple[int, ...]
    start_ns: NDArray[np.int64]
    total_ms: NDArray[np.float64]
    compute_ms: NDArray[np.float64]
    transfer_ms: NDArray[np.float64]
    wait_ms: NDArray[np.float64]
    source: str
    absent: int

    @cached_property
    def lead_ms(self) -> NDArray[np.float64]:
        """How much longer each rank computes than the median of the others (two ranks at least)."""
        return lead_of_others(self.compute_ms)

    @property
    def here(self) -> str:
        """Of how many ranks times are here: "3 of 4 ranks"."""
        return f"{len(self.ranks)} of {len(self.ranks) + self.absent} ranks"


def rank_times(catalogue: Catalogue, replica: str | None) -> RankTimes | None:
    """Every rank's time on a replica, iterations of which all its ranks recorded it; None where no rank did.

    A replica of None is that of ranks whose replica nothing tells.
    """
    key = ("rank_times", replica)
    if key not in catalogue.memo:
        same = pl.col("replica").eq_missing(replica)
        rows = catalogue.kept("rank_iterations", replica=replica).filter(same)
        counts = catalogue.kept("replica_ranks", replica=replica).filter(same)
        catalogue.memo[key] = _rank_times(rows, int(counts["absent"].sum()))
    found: RankTimes | None = catalogue.memo[key]
    return found


def _rank_times(rows: pl.DataFrame, absent: int) -> RankTimes | None:
    if rows.is_empty():
        return None
    rows = rows.drop_nulls("compute_ns")  # of a hole in a record nothing tells what it computed
    ranks = tuple(sorted(rows["rank"].unique().to_list()))
    whole = rows.unique(["iteration", "rank"], keep="first", maintain_order=True).sort("iteration", "rank")
    whole = whole.filter(pl.len().over("iteration") == len(ranks))
    if whole.is_empty():
        return None
    shape = (-1, len(ranks))

    def grid(name: str) -> NDArray[np.float64]:
        return whole[name].cast(pl.Float64).to_numpy().reshape(shape) / 1e6  # ns to ms

    starts = whole["start_ns"].to_numpy().reshape(shape)
    return RankTimes(
        iterations=whole["iteration"].to_numpy().reshape(shape)[:, 0],
        ranks=ranks,
        start_ns=starts.min(axis=1),
        total_ms=(whole["end_ns"] - whole["start_ns"]).cast(pl.Float64).to_numpy().reshape(shape) / 1e6,
        compute_ms=grid("compute_ns") + grid("idle_ns"),
        transfer_ms=grid("comm_ns"),
        wait_ms=grid("sync_ns"),
        source=" and ".join(sorted(whole["source"].unique().to_list())),
        absent=absent,
    )


def replicas(catalogue: Catalogue) -> list[str | None]:
    """The replicas whose ranks' iterations the bundle holds, None (not told) first."""
    found = catalogue.kept("rank_iterations")["replica"].unique().to_list()
    return sorted(found, key=lambda r: (r is not None, r or ""))
