"""The batch's lane and the tactics': what the scheduler decided, what ran, the request's own steps lit."""

from __future__ import annotations

import altair as alt
import polars as pl

from postmortem.render.chart import Frames, values
from postmortem.render.columns import ceiling, extremes
from postmortem.render.lanes.request import own_steps
from postmortem.render.theme import INK, LANE, LIT, OTHER, TACTIC_COLOURS
from postmortem.render.time_axis import GUTTER, Span, lane_axis, time_x, within

#: More tactics than these share one row.
MOST_TACTICS = 6
#: Columns of the tactics' shares, and how many iterations each holds at least: no column may stay empty.
BINS = 160
IN_BIN = 4


def batch_lane(frames: Frames, span: Span, notes: list[str]) -> list[alt.Chart]:
    """The batch's size, the request's own iterations lit."""
    batches = within(frames["iterations"].drop_nulls(["start_ns", "batch_size"]), span, "start_ns")
    if batches.is_empty():
        return []
    # A line may be drawn by its changes alone: nothing is lost.
    changed = batches.sort("start_ns").filter(
        (pl.col("batch_size") != pl.col("batch_size").shift(1)).fill_null(value=True)
        | (pl.int_range(pl.len()) == pl.len() - 1)
    )
    drawn, said = extremes(changed, "start_ns", "batch_size", count=2000)
    if said:
        notes.append(f"batch sizes: {said}")
    rows = drawn.select(span.since("start_ns").alias("t"), "batch_size", "iteration")
    top = ceiling(rows["batch_size"])[0] * 1.1
    y = alt.Y("batch_size:Q", scale=alt.Scale(domain=[0, top]), axis=lane_axis("batch\nsequences", LANE))
    tips = [alt.Tooltip("iteration:Q"), alt.Tooltip("batch_size:Q", title="batch (sequences)")]
    line = alt.Chart(values(rows)).mark_line(color=OTHER, interpolate="step-after", strokeWidth=1.5, clip=True)
    layers = [line.encode(x=time_x(span), y=y, tooltip=tips)]
    own = own_steps(frames, span).drop_nulls("batch_size").select("t", "batch_size", "iteration", "step")
    if own.height:
        lit = alt.Chart(values(own)).mark_line(color=LIT, interpolate="step-after", strokeWidth=2.5, clip=True)
        layers.append(lit.encode(x=time_x(span), y=y, tooltip=[alt.Tooltip("step:Q"), *tips]))
    return layers


def tactic_lane(frames: Frames, span: Span) -> tuple[list[alt.Chart], int]:
    """A row a tactic: its share of the iterations in each short stretch, the request's own steps lit."""
    ran = within(frames["iterations"].drop_nulls(["start_ns", "algo_id"]), span, "start_ns")
    if ran.is_empty():
        return [], 0
    by_share = ran["algo_id"].value_counts().sort("count", "algo_id", descending=[True, False])["algo_id"].to_list()
    named = [f"tactic {tactic}" for tactic in by_share[:MOST_TACTICS]]
    other = f"{len(by_share) - len(named)} others"
    rows = [*named, other] if len(by_share) > len(named) else named
    width = span.seconds / max(1, min(BINS, ran.height // IN_BIN))

    def called(column: str = "algo_id") -> pl.Expr:
        name = pl.concat_str(pl.lit("tactic "), pl.col(column))
        return pl.when(name.is_in(named)).then(name).otherwise(pl.lit(other))

    binned = ran.select(called().alias("tactic"), (span.since("start_ns") / width).floor().alias("bin"))
    shares = (
        binned.group_by("bin", "tactic")
        .len()
        .with_columns(share=pl.col("len") / pl.col("len").sum().over("bin"))
        .with_columns(t=pl.col("bin") * width, t2=(pl.col("bin") + 1) * width)
        .sort("bin", "tactic")
        .select("t", "t2", "tactic", "share", iterations="len")
    )
    y = alt.Y(
        "tactic:N",
        sort=rows,
        scale=alt.Scale(domain=rows),
        axis=alt.Axis(
            title=None,
            labelAlign="left",
            labelPadding=GUTTER - 8,
            labelLimit=GUTTER - 8,
            minExtent=GUTTER - 6,
            maxExtent=GUTTER - 6,
            ticks=False,
            domain=False,
            grid=False,
        ),
    )
    colours = [*TACTIC_COLOURS[: len(named)], OTHER][: len(rows)]
    strips = (
        alt.Chart(values(shares))
        .mark_rect(clip=True)
        .encode(
            x=time_x(span),
            x2="t2:Q",
            y=y,
            color=alt.Color("tactic:N", scale=alt.Scale(domain=rows, range=colours), legend=None),
            opacity=alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.25, 1]), legend=None),
            tooltip=[
                alt.Tooltip("tactic:N"),
                alt.Tooltip("share:Q", title="share of iterations", format=".0%"),
                alt.Tooltip("iterations:Q"),
            ],
        )
    )
    own = own_steps(frames, span).drop_nulls("algo_id").select("t", "step", "iteration", called().alias("tactic"))
    if own.is_empty():
        return [strips], len(rows)
    ticks = alt.Chart(values(own)).mark_point(shape="circle", filled=True, color=INK, size=9, opacity=1, clip=True)
    lit = ticks.encode(x=time_x(span), y=y, tooltip=[alt.Tooltip("step:Q"), alt.Tooltip("tactic:N"), "iteration:Q"])
    return [strips, lit], len(rows)
