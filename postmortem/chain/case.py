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
# What a plan is made of: the columns of s records, and their names in the queries of margins.
PLAN = {"algo_id": "tactic", "precision_path": "precision"}


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

        ``algo_id_reference`` and ``precision_path_reference`` are the reference's plan by the names that the request's
        replica has for it, where nothing but names differs; ``…_recorded`` is how the reference's replica calls it.
        """
        mine = self.frame("request_steps", req_id=self.req_id)
        if self.reference is None:
            return mine.clear()
        theirs = self.frame("request_steps", req_id=self.reference)
        both = mine.join(theirs, on="step", suffix="_reference").sort("step")
        for column in PLAN:
            there = pl.col(f"{column}_reference")
            here = there.replace(self.own_names[column]) if column in self.own_names else there
            both = both.with_columns(there.alias(f"{column}_recorded"), here.alias(f"{column}_reference"))
        return both.filter(pl.col("step") <= self.flip.step) if self.flip else both

    @cached_property
    def own_names(self) -> dict[str, dict[str, str]]:
        """What the reference ran and the request's replica calls otherwise, by its name there, for each column of PLAN.

        Looked for only where the two have no name in common. One plan by two names is what moved no margin: in STILL
        steps and more of requests that ran nothing else before, on whichever side, where margins do move elsewhere.
        """
        apart = {}
        for column in PLAN:
            mine, theirs = (
                {*self.frame("request_steps", req_id=r)[column].drop_nulls()} for r in (self.req_id, self.reference)
            )
            if mine and theirs and not mine & theirs:  # what its replica ran besides is looked up only then
                mine |= {*self.iterations[column].drop_nulls().unique()}
                if not mine & theirs:
                    apart[column] = mine, theirs
        return {column: names for column in apart if (names := self._one_by_two_names(column, *apart[column]))}

    def _one_by_two_names(self, column: str, mine: set[str], theirs: set[str]) -> dict[str, str]:
        here, there = PLAN[column], f"reference_{PLAN[column]}"
        still = self._still.filter(pl.col(here).is_in(mine) & pl.col(there).is_in(theirs))
        still = still.sort("steps", here, descending=[False, True])  # of several, the one with most steps comes last
        return dict(zip(still[there], still[here], strict=True))

    @property
    def _still(self) -> pl.DataFrame:
        """Two plans between which no margin moved, and in how many steps: one row a pair, on whichever side."""
        key = ("still",)
        if key not in self.catalogue.memo:
            self.catalogue.memo[key] = _still(self.frame("margin_moves"))
        found: pl.DataFrame = self.catalogue.memo[key]
        return found

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


def _still(moves: pl.DataFrame) -> pl.DataFrame:
    plans, sides = list(PLAN.values()), [f"reference_{name}" for name in PLAN.values()]
    moves = moves.with_columns(still=pl.col("moved") == 0)
    ran = pl.struct(*plans, *sides)
    alone = moves.filter((ran == ran.first()).cast(pl.Int8).cum_min().over("req_id", order_by="step") == 1)
    back = alone.rename(dict(zip([*plans, *sides], [*sides, *plans], strict=True))).select(alone.columns)
    moved = ~pl.col("still") | pl.col("flipped")
    pairs = pl.concat([alone, back]).group_by(*plans, *sides)
    told = pairs.agg(pl.col("still").sum().alias("steps"), moved.any().alias("moves"))
    coarse = moves.filter(~pl.col("flipped"))["still"].all()  # so coarse a margin tells nothing
    return told.clear() if coarse else told.filter((pl.col("steps") >= STILL) & ~pl.col("moves"))
