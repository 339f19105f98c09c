"""Aggregation before drawing: one row a pixel column, and always the extreme one.

A mean would hide what a review looks for, so the row with the largest figure of each column is
kept as it is, ids and all.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from postmortem.render.theme import COLUMNS


def extremes(
    frame: pl.DataFrame, time: str, figure: str, by: Sequence[str] = (), count: int = COLUMNS
) -> tuple[pl.DataFrame, str]:
    """The row with the largest ``figure`` in each of ``count`` columns of ``time``, a group of ``by`` at a time.

    Gives the rows in order of time, and a sentence on what was left out: empty where all are there.
    """
    most = frame.group_by(by).len()["len"].max() if by else frame.height
    if not isinstance(most, int) or most <= count:
        return frame.sort([*by, time]), ""
    first = frame[time].min()
    last = frame[time].max()
    column = ((pl.col(time) - first) * count // (pl.lit(last) - first + 1)).alias("_column")
    kept = (
        frame.with_columns(column)
        .sort([figure, time], descending=[True, False], nulls_last=True)
        .unique([*by, "_column"], keep="first", maintain_order=True)
        .drop("_column")
        .sort([*by, time])
    )
    return kept, f"the largest of each of {count} columns, {kept.height} of {frame.height} drawn"


def ended(rows: pl.DataFrame, start: str, end: str) -> pl.DataFrame:
    """The rows, and the last again at its own end: steps would stop where it begins, and not show it."""
    return pl.concat([rows, rows.tail(1).drop_nulls(end).with_columns(pl.col(end).alias(start))])


GIANT = 4.0  # what is so many times higher than 99 of 100 would leave them a quarter of the axis
ROOM = 1.5  # times those 99, where giants are cut off: they still rise visibly above them
AIR = 1.05  # times the highest, where it fits: its mark is whole


def ceiling(figures: pl.Series) -> tuple[float, bool]:
    """The top of an axis, and whether figures rise above it: a lone giant must not flatten the rest.

    >>> ceiling(pl.Series([1.0, 2.0, 4.0]))
    (4.2, False)
    """
    finite = figures.drop_nulls().drop_nans()
    most = finite.max()
    if not isinstance(most, int | float) or most <= 0:
        return 1.0, False
    high = finite.quantile(0.99) or 0.0
    if high > 0 and most > GIANT * high:
        return float(high) * ROOM, True
    return round(float(most) * AIR, 6), False
