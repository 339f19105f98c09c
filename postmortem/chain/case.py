"""One request's case: its frames, fetched once and shared by the kinds that look at them."""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import polars as pl

from postmortem.analyses.rank_times import RankTimes, rank_times
from postmortem.analyses.stats.level import ALPHA
from postmortem.base.window import Window
from postmortem.chain.input import Input, compare
from postmortem.chain.model import Evidence, Flip

if TYPE_CHECKING:
    from collections.abc import Callable

    from postmortem.catalogue.catalogue import Catalogue


T = TypeVar("T")
# In so many steps a plan that moves one margin in twenty moves one at least, nineteen times in twenty: 59.
STILL = math.ceil(math.log(ALPHA) / math.log(1 - ALPHA))


class Case:
    """The request in question, its reference, and the ``replica`` that is looked at: the one that it flipped on."""

    def __init__(self, catalogue: Catalogue, req_id: str, reference: str | None, flip: Flip | None) -> None:
        self.catalogue = catalogue
        self.req_id = req_id
        self.reference = reference
        self.flip = flip
        self.replica = flip.replica if flip else None

    def on(self, replica: str | None) -> Case:
        """The same case, looked at on another replica: a request that moved ran its earlier steps there."""
        if replica == self.replica:
            return self
        other = Case(self.catalogue, self.req_id, self.reference, self.flip)
        other.replica = replica
        return other

    def frame(self, query: str, **params: Any) -> pl.DataFrame:
        """A query's rows, fetched once; none where it asks for a replica that nothing names: NULL would mean all."""
        rows = self.catalogue.kept(query, **params)
        return rows.clear() if params.get("replica", "") is None else rows

    def evidence(self, query: str, **params: Any) -> Evidence:
        """The query as evidence, with the number of its rows."""
        return Evidence(query, params, self.catalogue.count(query, **params))

    @cached_property
    def input(self) -> Input:
        """Whether the request and its reference saw the same x."""
        rows = [self.frame("requests", req_id=r).row(0, named=True) for r in (self.req_id, self.reference) if r]
        return compare(*rows) if len(rows) == 2 else Input(None, ())

    @cached_property
    def steps(self) -> pl.DataFrame:
        """The request's decode steps beside its reference's, up to the flip: one row a common step.

        ``algo_id_reference`` is the reference's tactic by the name that the request's replica has for it, where nothing
        but names differs; ``algo_id_recorded`` is how the reference's replica calls it.
        """
        mine = self.frame("request_steps", req_id=self.req_id)
        if self.reference is None:
            return mine.clear()
        theirs = self.frame("request_steps", req_id=self.reference)
        both = mine.join(theirs, on="step", suffix="_reference").sort("step")
        both = both.with_columns(algo_id_recorded="algo_id_reference")
        if self.own_names:
            known = pl.col("algo_id_reference").replace(self.own_names)
            both = both.with_columns(algo_id_reference=known)
        return both.filter(pl.col("step") <= self.flip.step) if self.flip else both

    @cached_property
    def own_names(self) -> dict[str, str]:
        """The reference's tactics that the request's replicas call otherwise, by their names there.

        Looked for only where the two have no name in common. The same tactic is what moved no margin: in STILL steps
        and more of requests that ran nothing else before, on whichever side, where margins do move between others.
        """
        mine, theirs = (
            set(self.frame("request_steps", req_id=r)["algo_id"].drop_nulls()) for r in (self.req_id, self.reference)
        )
        mine |= set(self.iterations["algo_id"].drop_nulls())
        if not mine or not theirs or theirs & mine:
            return {}
        moves = self.frame("margin_moves").filter(
            pl.col("tactic").is_not_null() & pl.col("reference_tactic").is_not_null()
        )
        moves = moves.with_columns(still=pl.col("moved") == 0)
        if moves.filter(~pl.col("flipped"))["still"].all():  # so coarse a margin tells nothing
            return {}
        pair = pl.struct("tactic", "reference_tactic")
        alone = moves.filter((pair == pair.first()).cast(pl.Int8).cum_min().over("req_id", order_by="step") == 1)
        back = alone.rename({"tactic": "reference_tactic", "reference_tactic": "tactic"}).select(alone.columns)
        still = (
            pl.concat([alone, back])
            .filter(pl.col("tactic").is_in(mine) & pl.col("reference_tactic").is_in(theirs))
            .group_by("tactic", "reference_tactic")
            .agg(pl.col("still").sum().alias("steps"), (~pl.col("still") | pl.col("flipped")).any().alias("moves"))
            .filter((pl.col("steps") >= STILL) & ~pl.col("moves"))
            .sort("steps", "tactic", descending=[False, True])  # of several, the one with most steps comes last
        )
        return dict(zip(still["reference_tactic"], still["tactic"], strict=True))

    @property
    def told(self) -> bool:
        """Whether any step's token is recorded on both sides."""
        tokens = pl.col("token_id", "token_id_reference")
        return not self.steps.filter(pl.all_horizontal(tokens.is_not_null())).is_empty()

    @cached_property
    def iterations(self) -> pl.DataFrame:
        """The replica's iterations in order: one row an iteration."""
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
