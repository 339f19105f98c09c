"""What the charts over time share: the axis, the window drawn, the marks behind every lane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import polars as pl

from postmortem.base.units import NS_PER_S, date_text
from postmortem.render.chart import labels, values
from postmortem.render.theme import LIT, SHADE, SMALL, SOFT, WIDTH

#: Room at the left of every lane for its name.
GUTTER = 184
#: Letters of a row's name that fit there, some seven pixels each.
ROOM = 24


@dataclass(frozen=True)
class Span:
    """The stretch of time that is drawn, UTC epoch ns."""

    start_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        """Its length in seconds."""
        return max((self.end_ns - self.start_ns) / NS_PER_S, 1e-6)

    def since(self, column: str) -> pl.Expr:
        """A column of UTC epoch ns as seconds since the span's start."""
        return (pl.col(column) - self.start_ns) / NS_PER_S

    def axis_title(self) -> str:
        """What the time axis is called, its unit and origin."""
        return f"seconds since {date_text(self.start_ns)}"


def within(frame: pl.DataFrame, span: Span, start: str, end: str | None = None) -> pl.DataFrame:
    """The rows that touch the span."""
    return frame.filter((pl.col(end or start) >= span.start_ns) & (pl.col(start) <= span.end_ns))


def time_x(span: Span, field: str = "t", last: bool = False, titled: bool = True) -> alt.X:
    """The shared time axis; only the last lane shows its labels."""
    title = span.axis_title() if last and titled else None
    # Labels this near an end (half of one, in pixels) are drawn inwards, or the chart's edge cuts them.
    axis = alt.Axis(title=title, labels=last, ticks=last, grid=True, tickCount=10, labelFlush=16)
    return alt.X(f"{field}:Q", scale=alt.Scale(domain=[0, round(span.seconds, 6)], nice=False), axis=axis)


def lane_axis(title: str, height: int, ticks: int = 3) -> alt.Axis:
    """A lane's own axis: its name and unit written flat in the gutter at the left."""
    return alt.Axis(
        title=title.split("\n"),
        titleAngle=0,
        titleAlign="left",
        titleAnchor="start",
        titleX=-GUTTER + 6,
        titleY=height / 2 - (SMALL * 0.75) * (title.count("\n")),
        titleBaseline="middle",
        titleLimit=GUTTER - 40,
        tickCount=ticks,
        minExtent=GUTTER - 6,
        maxExtent=GUTTER - 6,
        grid=False,
    )


def row_axis(rows: Sequence[str], colour: str = SOFT) -> alt.Axis:
    """The axis of a lane of ``rows``: each one's name at the left of the gutter."""
    return alt.Axis(
        title=None,
        labelExpr=labels(rows, ROOM),
        labelAlign="left",
        labelPadding=GUTTER - 8,
        labelColor=colour,
        labelLimit=GUTTER - 8,
        minExtent=GUTTER - 6,
        maxExtent=GUTTER - 6,
        ticks=False,
        domain=False,
        grid=False,
    )


def backdrop(span: Span, links: pl.DataFrame, baseline: pl.DataFrame) -> list[alt.Chart]:
    """What stands behind a lane: the baseline window shaded, the flip as a line."""
    layers = []
    calm = within(baseline, span, "start_ns", "end_ns").select(
        span.since("start_ns").clip(0).alias("t"), span.since("end_ns").clip(0, span.seconds).alias("t2")
    )
    if calm.height:
        layers.append(
            alt.Chart(values(calm)).mark_rect(color=SHADE, opacity=0.6, clip=True).encode(x=time_x(span), x2="t2:Q")
        )
    flips = within(links.filter(pl.col("kind") == "token_flip").drop_nulls("start_ns"), span, "start_ns")
    if flips.height:
        flip = flips.select(span.since("start_ns").alias("t"))
        layers.append(
            alt.Chart(values(flip))
            .mark_rule(color=LIT, strokeDash=[3, 3], strokeWidth=1.2, clip=True)
            .encode(x=time_x(span))
        )
    return layers


def lane(
    layers: list[alt.Chart], height: int, span: Span, name: str, *, last: bool, titled: bool = True
) -> alt.LayerChart:
    """Layers as one lane of the shared width; its first layer bears the lane's name, the last lane the time."""
    named = [layers[0].properties(name=name), *layers[1:]]
    if last:
        named = [_timed(layer, span, titled=titled) for layer in named]
    chart = alt.LayerChart(layer=named)
    chart.width, chart.height = WIDTH - GUTTER, height
    return chart


def _timed(layer: alt.Chart, span: Span, *, titled: bool) -> alt.Chart:
    """The layer with the time written below; a layer that sets its own ``x`` by a signal keeps it."""
    if isinstance(layer.encoding.x, alt.XDatum):
        return layer
    timed: alt.Chart = layer.encode(x=time_x(span, last=True, titled=titled))
    return timed
