"""One request's case: its frames, fetched once and shared by the kinds that look at them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import polars as pl

from postmortem.base.window import Window
from postmortem.chain.input import Input, compare
from postmortem.chain.model import Evidence, Flip

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from postmortem.catalogue.catalogue import Catalogue


T = TypeVar("T")


@dataclass(frozen=True)
class RankTimes:
    """Where each rank's time went; arrays of shape (iterations, ranks), ms, in step with ``iterations``."""

    iterations: NDArray[np.int64]
    ranks: tuple[int, ...]
    start_ns: NDArray[np.int64]
    total_ms: NDArray[np.float64]
    compute_ms: NDArray[np.float64]
    transfer_ms: NDArray[np.float64]
    wait_ms: NDArray[np.float64]
    source: str

    def within(self, window: Window) -> NDArray[np.bool_]:
        """Which rows lie in the window."""
        inside: NDArray[np.bool_] = (self.iterations >= window.first) & (self.iterations < window.stop)
        return inside


class Case:
    """The request in question, its reference, and the replica that it ran on."""

    def __init__(self, catalogue: Catalogue, req_id: str, reference: str | None, flip: Flip | None) -> None:
        self.catalogue = catalogue
        self.req_id = req_id
        self.reference = reference
        self.flip = flip

    def frame(self, query: str, **params: Any) -> pl.DataFrame:
        """A query's rows, fetched once."""
        return self.catalogue.kept(query, **params)

    def evidence(self, query: str, **params: Any) -> Evidence:
        """The query as evidence, with the number of its rows."""
        return Evidence(query, params, self.frame(query, **params).height)

    @property
    def replica(self) -> str | None:
        """The replica that the request flipped on."""
        return self.flip.replica if self.flip else None

    @cached_property
    def input(self) -> Input:
        """Whether the request and its reference saw the same x."""
        rows = [self.frame("requests", req_id=r).row(0, named=True) for r in (self.req_id, self.reference) if r]
        return compare(*rows) if len(rows) == 2 else Input(None, ())

    @cached_property
    def steps(self) -> pl.DataFrame:
        """The request's decode steps beside its reference's, up to the flip: one row a common step."""
        mine = self.frame("request_steps", req_id=self.req_id)
        if self.reference is None:
            return mine.clear()
        theirs = self.frame("request_steps", req_id=self.reference)
        both = mine.join(theirs, on="step", suffix="_reference").sort("step")
        return both.filter(pl.col("step") <= self.flip.step) if self.flip else both

    @cached_property
    def iterations(self) -> pl.DataFrame:
        """The replica's iterations in order: one row an iteration."""
        if self.replica is None:
            return self.frame("iterations").clear()
        return self.frame("iterations", replica=self.replica).sort("iteration")

    @cached_property
    def rank_times(self) -> RankTimes | None:
        """Every rank's time on this replica, iterations that all ranks recorded; None where no rank did."""
        return None if self.replica is None else rank_times(self.catalogue, self.replica)

    def worked_out(self, what: str, how: Callable[[], T], *of: Any) -> T:
        """A figure of this replica, worked out once for all cases of the bundle."""
        key = (what, self.replica, *of)
        if key not in self.catalogue.memo:
            self.catalogue.memo[key] = how()
        found: T = self.catalogue.memo[key]
        return found

    def times_of(self, window: Window) -> tuple[int | None, int | None]:
        """Start of the window's first iteration and end of its last, UTC epoch ns."""
        inside = self.iterations.filter((pl.col("iteration") >= window.first) & (pl.col("iteration") < window.stop))
        start, end = inside["start_ns"].min(), inside["end_ns"].max()
        if end is None:
            end = inside["start_ns"].max()
        return (
            int(start) if isinstance(start, int) else None,
            int(end) if isinstance(end, int) else None,
        )


def rank_times(catalogue: Catalogue, replica: str) -> RankTimes | None:
    """Every rank's time on a replica, iterations that all its ranks recorded; None where no rank did."""
    key = ("rank_times", replica)
    if key not in catalogue.memo:
        catalogue.memo[key] = _rank_times(catalogue.kept("rank_iterations", replica=replica))
    found: RankTimes | None = catalogue.memo[key]
    return found


def _rank_times(rows: pl.DataFrame) -> RankTimes | None:
    if rows.is_empty():
        return None
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
    )
