"""How far each source's clock is off the bundle's, and how sure that is.

Columns wanted: ``clock_offsets`` source, replica, rank, offset_ns, uncertainty_ns (ns; NULL: not known), drift_ppm,
method, from_ns (a step of the clock: since when).
"""

from __future__ import annotations

import altair as alt
import polars as pl

from postmortem.base.units import NS_PER_US, count, number
from postmortem.render.chart import Chart, Frames, Wants, cap, labels, nothing, sentence, values
from postmortem.render.theme import FIT, INK, LIT, OTHER, WIDTH

#: More sources than these are cut to those whose uncertainty is unknown or largest.
MOST = 32

WANTS: Wants = {
    "clock_offsets": {
        "source": pl.String,
        "replica": pl.String,
        "rank": pl.Int64,
        "offset_ns": pl.Int64,
        "drift_ppm": pl.Float64,
        "uncertainty_ns": pl.Int64,
        "method": pl.String,
        "from_ns": pl.Int64,
    }
}


def build(frames: Frames) -> alt.TopLevelMixin:
    """A point a source (and step of its clock) with its uncertainty as a bar; hollow where it is not known."""
    rows = frames["clock_offsets"].drop_nulls(["source", "offset_ns"])
    if rows.is_empty():
        return nothing("no source has a clock of its own", WIDTH)
    drawn = rows.sort(["uncertainty_ns", "source", "from_ns"], descending=[True, False, False], nulls_last=False).head(
        MOST
    )
    said = f"{MOST} of {rows.height}, those least sure" if rows.height > MOST else ""
    us, wide = pl.col("offset_ns") / NS_PER_US, pl.col("uncertainty_ns") / NS_PER_US
    drawn = drawn.sort("source", "from_ns").with_columns(
        offset=us, low=us - wide, high=us + wide, wide=wide,
        known=pl.when(pl.col("uncertainty_ns").is_null()).then(pl.lit("not known")).otherwise(pl.lit("known")),
    )  # fmt: skip
    names = drawn["source"].unique(maintain_order=True).to_list()
    tips = [
        "source:N",
        "replica:N",
        "rank:Q",
        alt.Tooltip("offset:Q", title="added to its times (µs)", format=",.3f"),
        alt.Tooltip("wide:Q", title="uncertainty (± µs)", format=",.3f"),
        alt.Tooltip("drift_ppm:Q", title="drift (ppm)", format=".4~g"),
        "method:N",
    ]
    drawn = drawn.select("source", "replica", "rank", "offset", "low", "high", "wide", "drift_ppm", "method", "known")
    y = alt.Y("source:N", sort=names, title=None, axis=alt.Axis(labelExpr=labels(names)))
    title = "added to its times (µs); bar: uncertainty"
    scale, axis = alt.Scale(zero=False), alt.Axis(format=",~r")
    sure = drawn.drop_nulls("wide")
    bars = alt.Chart(values(sure)).mark_rule(color=OTHER, strokeWidth=5, opacity=0.6)
    layers = (
        [bars.encode(x=alt.X("low:Q", title=title, scale=scale, axis=axis), x2="high:Q", y=y)] if sure.height else []
    )
    kinds = ["known", "not known"]
    dots = alt.Chart(values(drawn)).mark_point(filled=True, size=60, opacity=1)
    dots = dots.encode(
        x=alt.X("offset:Q", title=title, scale=scale, axis=axis),
        y=y,
        color=alt.Color("known:N", title="uncertainty", scale=alt.Scale(domain=kinds, range=[INK, LIT])),
        shape=alt.Shape("known:N", title="uncertainty", scale=alt.Scale(domain=kinds, range=["circle", "diamond"])),
        tooltip=tips,
    )
    return alt.layer(*layers, dots).properties(
        width=WIDTH, autosize=FIT, height=max(50, 22 * len(names)), title=cap(said)
    )


def tells(frames: Frames) -> str:
    """How sure the least sure clock is, and how many are not known at all."""
    rows = frames["clock_offsets"].drop_nulls(["source", "offset_ns"])
    sure = rows.drop_nulls("uncertainty_ns").sort(["uncertainty_ns", "source"], descending=[True, False])
    said = []
    if sure.height:
        worst = sure.row(0, named=True)
        said.append(
            f"the least sure clock is that of {worst['source']}, to ±{number(worst['uncertainty_ns'] / NS_PER_US)} µs"
        )
    lost = rows.filter(pl.col("uncertainty_ns").is_null())["source"].n_unique()
    if lost:
        said.append(
            f"how far the clock of {count(lost, 'source')} is off is not known: nothing that others recorded coincides "
            "with its records"
        )
    return sentence(said)


CHART = Chart(
    "clock_offsets",
    "Clocks",
    "How far is each source's clock off, and how sure is that?",
    WANTS,
    build,
    tells,
    "hardware",
)
