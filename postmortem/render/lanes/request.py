"""The request's own lane: its margins, and where tokens flipped, its own and others'."""

from __future__ import annotations

import altair as alt
import polars as pl

from postmortem.render.chart import Frames, values
from postmortem.render.columns import ceiling, extremes
from postmortem.render.theme import INK, LANE, LIT, OTHER
from postmortem.render.time_axis import Span, lane_axis, time_x, within


def own_steps(frames: Frames, span: Span) -> pl.DataFrame:
    """The request's own steps within the span, ``t`` the seconds since its start."""
    steps = frames["request_steps"].filter(pl.col("role").eq_missing("request")).drop_nulls("ts_ns")
    return within(steps, span, "ts_ns").sort("step").with_columns(span.since("ts_ns").alias("t"))


def life(frames: Frames, span: Span) -> tuple[float, float] | None:
    """From the request's first own step to its last, seconds since the span's start; None where it has none."""
    own = own_steps(frames, span)["t"]
    return None if own.is_empty() else (float(own.min()), float(own.max()))  # type: ignore[arg-type]


def margin_lane(frames: Frames, span: Span, notes: list[str]) -> list[alt.Chart]:
    """How clear each token's win was, and where it flipped, for the request and the others."""
    own = own_steps(frames, span).drop_nulls("margin")
    own, cut = extremes(own.with_columns(closeness=-pl.col("margin")), "ts_ns", "closeness")
    if cut:
        notes.append(f"the request's margins: {cut.replace('largest', 'smallest')}")
    own = own.select("t", "step", "token_id", "margin", "iteration")
    flips = within(frames["flips"].drop_nulls(["ts_ns", "margin"]), span, "ts_ns")
    if own.is_empty() and flips.is_empty():
        return []
    request = frames["request_steps"].filter(pl.col("role").eq_missing("request"))["req_id"].drop_nulls().unique()
    ids = ["req_id", "step", "token_id", "reference", "reference_token_id", "margin", "iteration"]
    flips, said = extremes(flips.with_columns(closeness=-pl.col("margin")), "ts_ns", "closeness")
    if said:
        notes.append(f"flips: {said}")
    rows = flips.select(
        span.since("ts_ns").alias("t"),
        *ids,
        whose=pl.when(pl.col("req_id").is_in(request.implode()))
        .then(pl.lit("this request's"))
        .otherwise(pl.lit("another's")),
    )
    top = ceiling(pl.concat([own["margin"], rows["margin"]]))[0] * 1.1
    axis = lane_axis("margin\nlogits, root scale", LANE + 18, ticks=4)
    # Evenly spaced under a root, in round figures, none above the top.
    axis.values = [0.0, *(float(f"{top * part:.1g}") for part in (0.09, 0.36, 0.66))]
    # A little below zero, so that the marks of a margin of none are seen whole.
    y = alt.Y("margin:Q", scale=alt.Scale(type="sqrt", domain=[-top / 100, top], nice=False), axis=axis)
    tips = [alt.Tooltip("step:Q"), alt.Tooltip("token_id:Q"), alt.Tooltip("margin:Q", title="margin (logits)")]
    layers = []
    if own.height:
        line = alt.Chart(values(own)).mark_line(color=LIT, strokeWidth=1.2, point={"color": LIT, "size": 16}, clip=True)
        layers.append(line.encode(x=time_x(span), y=y, tooltip=tips))
    if rows.height:
        stars = alt.Chart(values(rows)).mark_point(filled=True, opacity=1, stroke=INK, strokeWidth=0.8, clip=True)
        domain = ["this request's", "another's"]
        layers.append(
            stars.encode(
                x=time_x(span),
                y=y,
                color=alt.Color(
                    "whose:N", scale=alt.Scale(domain=domain, range=[LIT, OTHER]), legend=alt.Legend(title="flip")
                ),
                shape=alt.Shape(
                    "whose:N",
                    scale=alt.Scale(domain=domain, range=["diamond", "triangle-up"]),
                    legend=alt.Legend(title="flip"),
                ),
                size=alt.condition('datum.whose == "this request\'s"', alt.value(190), alt.value(50)),
                tooltip=[f"{name}:N" for name in ids],
            )
        )
    return layers
