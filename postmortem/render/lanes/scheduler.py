"""The batch's lane and the tactics': what the scheduler decided, what ran, the request's own steps lit."""

from __future__ import annotations

import altair as alt
import polars as pl

from postmortem.render.chart import Frames, values
from postmortem.render.columns import ceiling, ended, extremes
from postmortem.render.lanes.request import life, own_steps
from postmortem.render.theme import COLUMNS, DIMMED, INK, LANE, LIT, OTHER, TACTIC_COLOURS
from postmortem.render.time_axis import Span, lane_axis, row_axis, time_x, within

#: More tactics than these share one row.
MOST_TACTICS = 6


def batch_lane(frames: Frames, span: Span, notes: list[str]) -> list[alt.Chart]:
    """The batch's size, the request's own iterations lit."""
    batches = within(frames["iterations"].drop_nulls(["start_ns", "batch_size"]), span, "start_ns")
    if batches.is_empty():
        return []
    drawn = _by_changes(batches, "start_ns", notes)
    rows = ended(drawn, "start_ns", "end_ns").select(span.since("start_ns").alias("t"), "batch_size", "iteration")
    top = ceiling(rows["batch_size"])[0] * 1.1
    y = alt.Y("batch_size:Q", scale=alt.Scale(domain=[0, top]), axis=lane_axis("batch\nsequences", LANE))
    tips = [alt.Tooltip("iteration:Q"), alt.Tooltip("batch_size:Q", title="batch (sequences)")]
    line = alt.Chart(values(rows)).mark_line(color=OTHER, interpolate="step-after", strokeWidth=1.5, clip=True)
    layers = [line.encode(x=time_x(span), y=y, tooltip=tips)]
    own = own_steps(frames, span).drop_nulls("batch_size")
    own = _by_changes(own, "ts_ns", notes).select("t", "batch_size", "iteration", "step")
    if own.height:
        lit = alt.Chart(values(own)).mark_line(color=LIT, interpolate="step-after", strokeWidth=2.5, clip=True)
        layers.append(lit.encode(x=time_x(span), y=y, tooltip=[alt.Tooltip("step:Q"), *tips]))
    return layers


def _by_changes(batches: pl.DataFrame, time: str, notes: list[str]) -> pl.DataFrame:
    """A line's rows where it changes, and its last: nothing is lost unless it changes all the time."""
    changed = batches.sort(time).filter(
        (pl.col("batch_size") != pl.col("batch_size").shift(1)).fill_null(value=True)
        | (pl.int_range(pl.len()) == pl.len() - 1)
    )
    drawn, said = extremes(changed, time, "batch_size", count=2000)
    if said:
        notes.append(f"batch sizes: {said}")
    return drawn


def tactic_lane(frames: Frames, span: Span) -> tuple[list[alt.Chart], int]:
    """A row a tactic: its share of the iterations in each short stretch, the request's own steps lit."""
    ran = within(frames["iterations"].drop_nulls(["start_ns", "algo_id"]), span, "start_ns")
    if ran.is_empty():
        return [], 0
    by_share = ran["algo_id"].value_counts().sort("count", "algo_id", descending=[True, False])["algo_id"].to_list()
    named = [f"tactic {tactic}" for tactic in by_share[:MOST_TACTICS]]
    other = f"{len(by_share) - len(named)} others"
    rows = [*named, other] if len(by_share) > len(named) else named
    each = -(-ran.height // COLUMNS)

    def called(column: str = "algo_id") -> pl.Expr:
        name = pl.concat_str(pl.lit("tactic "), pl.col(column))
        return pl.when(name.is_in(named)).then(name).otherwise(pl.lit(other))

    # Columns of whole iterations: a column of time would draw a tactic before the iteration that first ran it.
    binned = ran.sort("start_ns", "iteration").select(
        called().alias("tactic"),
        span.since("start_ns").clip(0).alias("t"),
        span.since("end_ns").fill_null(span.seconds).alias("end"),
        bin=pl.int_range(pl.len()) // each,
    )
    ends = binned.group_by("bin").agg(pl.col("t").min(), pl.col("end").max()).sort("bin")
    ends = ends.select("bin", "t", t2=pl.col("t").shift(-1).fill_null(pl.col("end")))
    shares = (
        binned.group_by("bin", "tactic")
        .len()
        .with_columns(share=pl.col("len") / pl.col("len").sum().over("bin"))
        .join(ends, on="bin")
        .with_columns(seen=(0.25 + 0.75 * pl.col("share")) * _near(life(frames, span), "t", "t2"))
        .sort("tactic", "bin")
    )
    # Neighbours that are drawn alike are one rectangle: no seams between them.
    same = pl.struct("tactic", "share", "seen", pl.col("bin") - pl.int_range(pl.len()))
    merged = (
        shares.group_by(same.rle_id().alias("run"), maintain_order=True)
        .agg(pl.col("t").min(), pl.col("t2").max(), *(pl.col(c).first() for c in ("tactic", "share", "seen")),
             pl.col("len").sum().alias("iterations"))
        .drop("run")
    )  # fmt: skip
    y = alt.Y(
        "tactic:N",
        sort=rows,
        scale=alt.Scale(domain=rows),
        axis=row_axis(rows),
    )
    colours = [*TACTIC_COLOURS[: len(named)], OTHER][: len(rows)]
    strips = (
        alt.Chart(values(merged))
        .mark_rect(clip=True)
        .encode(
            x=time_x(span),
            x2="t2:Q",
            y=y,
            color=alt.Color("tactic:N", scale=alt.Scale(domain=rows, range=colours), legend=None),
            opacity=alt.Opacity("seen:Q", scale=None, legend=None),
            tooltip=[
                alt.Tooltip("tactic:N"),
                alt.Tooltip("share:Q", title="share of iterations", format=".0%"),
                alt.Tooltip("iterations:Q"),
            ],
        )
    )
    own = own_steps(frames, span).drop_nulls("algo_id").with_columns(called().alias("tactic"))
    if own.is_empty():
        return [strips], len(rows)
    # A dot a column and tactic: more would lie on one another.
    own = extremes(own, "ts_ns", "step", ("tactic",))[0].select("t", "step", "iteration", "tactic")
    ticks = alt.Chart(values(own)).mark_point(shape="circle", filled=True, color=INK, size=9, opacity=1, clip=True)
    lit = ticks.encode(x=time_x(span), y=y, tooltip=[alt.Tooltip("step:Q"), alt.Tooltip("tactic:N"), "iteration:Q"])
    return [strips, lit], len(rows)


def _near(lit: tuple[float, float] | None, start: str, end: str) -> pl.Expr:
    """How much is left of a stretch: all of it within the request's life or without a request, else DIMMED."""
    if lit is None:
        return pl.lit(1.0)
    return pl.when((pl.col(end) >= lit[0]) & (pl.col(start) <= lit[1])).then(1.0).otherwise(DIMMED)
