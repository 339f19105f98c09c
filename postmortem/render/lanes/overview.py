"""The overview above the lanes: how long iterations took over all that is drawn, and which part the lanes show now."""

from __future__ import annotations

import altair as alt
import polars as pl

from postmortem.base.units import NS_PER_MS
from postmortem.render.chart import Frames, values
from postmortem.render.columns import ceiling, ended, extremes
from postmortem.render.theme import LIT, OTHER
from postmortem.render.time_axis import Span, backdrop, lane, lane_axis, time_x, within

#: Height, pixels, and columns, a few pixels each: it shows where, the lanes show what.
HEIGHT = 30
COUNT = 300


def overview(frames: Frames, span: Span) -> list[alt.LayerChart]:
    """The longest iteration of each column; the stretch that the lanes show is framed. Nothing without iterations.

    The page lets one drag over it (``assets/report.js`` finds it by its name).
    """
    timed = frames["iterations"].drop_nulls(["start_ns", "end_ns"])
    if timed.is_empty():
        timed = frames["rank_iterations"].drop_nulls(["start_ns", "end_ns"])
    timed = within(timed, span, "start_ns").with_columns(ms=(pl.col("end_ns") - pl.col("start_ns")) / NS_PER_MS)
    if timed.is_empty():
        return []
    drawn, _ = extremes(timed, "start_ns", "ms", count=COUNT)
    top, _ = ceiling(drawn["ms"])
    rows = values(ended(drawn, "start_ns", "end_ns").select(span.since("start_ns").alias("t"), "ms"))
    y = alt.Y("ms:Q", scale=alt.Scale(domain=[0, top]), axis=lane_axis("overview\nms an iteration", HEIGHT, ticks=2))
    line = alt.Chart(rows).mark_area(color=OTHER, opacity=0.8, interpolate="step-after", clip=True)
    # The signal of the lanes' zoom: null where everything is shown.
    edge = [alt.ExprRef(f"zoom_t ? zoom_t[{n}] : {whole}") for n, whole in enumerate((0, round(span.seconds, 6)))]
    frame = (
        alt.Chart(values(pl.DataFrame({"here": [0]})))
        .mark_rect(fill=LIT, fillOpacity=0.12, stroke=LIT, strokeWidth=1.2, clip=True)
        .encode(x=alt.XDatum(edge[0], type="quantitative"), x2=alt.X2Datum(edge[1]))
    )
    back = backdrop(span, frames["links"], frames["baseline"])
    chart = lane([*back, line.encode(x=time_x(span), y=y), frame], HEIGHT, span, "over", last=True, titled=False)
    chart.name = "overview"
    return [chart]
