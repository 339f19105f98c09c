"""When it was calm and when pressured: one rule for every chart that sets the two side by side."""

from __future__ import annotations

import polars as pl

#: The two, in the order in which they are drawn.
PHASES = ("calm", "pressured")


def phase(time: str, links: pl.DataFrame, calm: pl.DataFrame) -> pl.Expr:
    """``pressured`` from the first link's start to the last one's end, ``calm`` in the calm window, else NULL.

    Where no calm window is known, all before the first link is calm; without any link, everything is.
    """
    starts = links["start_ns"].drop_nulls()
    if starts.is_empty():
        return pl.when(pl.col(time).is_not_null()).then(pl.lit("calm"))
    first, last = starts.min(), pl.concat([starts, links["end_ns"].drop_nulls()]).max()
    at = pl.col(time)
    before = at < first if calm.is_empty() else at.is_between(calm["start_ns"].min(), calm["end_ns"].max())
    return pl.when(at.is_between(first, last)).then(pl.lit("pressured")).when(before).then(pl.lit("calm"))
