"""Whether answers leave their references beyond some load: how often at each load, and beyond which.

Columns wanted: ``load_curve`` load (concurrency, queue_ms or free_mb), load_from, load_to (in its unit), iterations,
steps, churn, churn_low, churn_high, flips, flip, flip_low, flip_high (shares of the steps); ``state_collapse`` load,
outcome (churn or flip), threshold, low, high, share_beyond, share_within, p_value.

Load grows to the right in every panel: there free memory falls. A threshold is drawn where it is told from chance.
"""

from __future__ import annotations

import altair as alt
import polars as pl

from postmortem.analyses.stats.level import ALPHA
from postmortem.base.units import count, number, percent
from postmortem.render.chart import Chart, Frames, Wants, note, nothing, sentence, values
from postmortem.render.theme import CALM, INK, LIT, SHADE, WIDTH

#: Height of a panel, and room beside it for its axis, pixels.
HEIGHT = 110
AXIS = 66

LOADS = {
    "concurrency": "requests at once",
    "queue_ms": "median wait in the queue (ms)",
    "free_mb": "free memory (MiB), falling",
}
OUTCOMES = {"churn": (["ran another plan", "(% of steps)"], CALM), "flip": (["first differed", "(% of steps)"], LIT)}
HAPPENS = {"churn": "most steps of an iteration ran another plan", "flip": "a token first differed"}

WANTS: Wants = {
    "load_curve": {
        "load": pl.String,
        "load_from": pl.Float64,
        "load_to": pl.Float64,
        "iterations": pl.Int64,
        "steps": pl.Int64,
        "churn": pl.Float64,
        "churn_low": pl.Float64,
        "churn_high": pl.Float64,
        "flips": pl.Int64,
        "flip": pl.Float64,
        "flip_low": pl.Float64,
        "flip_high": pl.Float64,
    },
    "state_collapse": {
        "load": pl.String,
        "outcome": pl.String,
        "threshold": pl.Float64,
        "low": pl.Float64,
        "high": pl.Float64,
        "share_beyond": pl.Float64,
        "share_within": pl.Float64,
        "p_value": pl.Float64,
    },
}


def _curve(frames: Frames) -> pl.DataFrame:
    rows = frames["load_curve"].drop_nulls(["load_from", "load_to"]).filter(pl.col("load").is_in(list(LOADS)))
    return rows.sort("load", "load_from")


def _told(frames: Frames) -> pl.DataFrame:
    """The thresholds that are told from chance, the surest first."""
    rows = frames["state_collapse"].drop_nulls(["threshold", "p_value"])
    return rows.filter(pl.col("p_value") <= ALPHA).sort("p_value", "load", "outcome")


def build(frames: Frames) -> alt.TopLevelMixin:
    """A column a measure of load, a row an outcome."""
    curve, told = _curve(frames), _told(frames)
    loads = [load for load in LOADS if load in curve["load"]]
    if not loads:
        return alt.hconcat(nothing("no step is compared with its reference's at two loads", WIDTH))
    said = [
        "Point: a tenth of the iterations, more where many have one load; bars: its loads, at least its 95 % interval."
    ]
    if told.height:
        said.append("Line: the load beyond which it happens, told from chance; shaded: its 95 % interval.")
    else:
        said.append(f"No threshold is told from chance{_least(frames)}.")
    width = WIDTH // len(loads) - AXIS
    columns = []
    for n, load in enumerate(loads):
        own = curve.filter(pl.col("load") == load)
        panels = [
            _panel(own, told.filter(pl.col("load") == load, pl.col("outcome") == outcome), load, outcome, first=not n)
            .properties(width=width, height=HEIGHT)
            for outcome in OUTCOMES
        ]  # fmt: skip
        columns.append(alt.vconcat(*panels))
    chart: alt.TopLevelMixin = alt.hconcat(*columns, title=note(said))
    return chart


def _panel(curve: pl.DataFrame, told: pl.DataFrame, load: str, outcome: str, *, first: bool) -> alt.LayerChart:
    title, colour = OUTCOMES[outcome]
    ends = curve.select(pl.col("load_from").min().alias("low"), pl.col("load_to").max().alias("high")).row(0)
    room = (ends[1] - ends[0]) * 0.04 or 1.0
    scale = alt.Scale(domain=[ends[0] - room, ends[1] + room], nice=False, reverse=load == "free_mb")
    last = outcome == list(OUTCOMES)[-1]

    def x(field: str) -> alt.X:
        axis = alt.Axis(grid=False, tickCount=5, labels=last)
        return alt.X(f"{field}:Q", title=LOADS[load] if last else None, scale=scale, axis=axis)

    def y(field: str) -> alt.Y:
        return alt.Y(
            f"{field}:Q",
            title=title if first else None,
            scale=alt.Scale(domainMin=0, nice=True),
            axis=alt.Axis(format="~%", tickCount=3),
        )

    rows = curve.select(
        "iterations", "steps", "flips", at=(pl.col("load_from") + pl.col("load_to")) / 2, share=outcome,
        low=f"{outcome}_low", high=f"{outcome}_high", load_from="load_from", load_to="load_to",
    ).drop_nulls("share")  # fmt: skip
    tips = [
        alt.Tooltip("load_from:Q", title="load from", format=".4~g"),
        alt.Tooltip("load_to:Q", title="to", format=".4~g"),
        alt.Tooltip("share:Q", title=HAPPENS[outcome], format=".3~%"),
        alt.Tooltip("low:Q", title="interval from", format=".3~%"),
        alt.Tooltip("high:Q", title="to", format=".3~%"),
        "iterations:Q",
        "steps:Q",
        "flips:Q",
    ]
    base = alt.Chart(values(rows))
    layers: list[alt.Chart] = []
    if told.height:
        cut = alt.Chart(values(told.select("threshold", "low", "high", "share_beyond", "share_within", "p_value")))
        cut_tips = [
            alt.Tooltip("threshold:Q", format=".4~g"),
            alt.Tooltip("low:Q", title="interval from", format=".4~g"),
            alt.Tooltip("high:Q", title="to", format=".4~g"),
            alt.Tooltip("share_beyond:Q", title="iterations beyond it", format=".0%"),
            alt.Tooltip("share_within:Q", title="the others", format=".0%"),
            alt.Tooltip("p_value:Q", title="p", format=".3~g"),
        ]
        layers = [
            cut.mark_rect(color=SHADE, clip=True).encode(x=x("low"), x2="high:Q"),
            cut.mark_rule(color=INK, strokeWidth=1.5, clip=True).encode(x=x("threshold"), tooltip=cut_tips),
        ]
    layers += [
        base.mark_line(color=colour, strokeWidth=1, opacity=0.6).encode(x=x("at"), y=y("share")),
        base.mark_rule(color=colour, strokeWidth=1.2).encode(x=x("load_from"), x2="load_to:Q", y=y("share")),
        base.mark_rule(color=colour, strokeWidth=1.2).encode(x=x("at"), y=y("low"), y2="high:Q"),
        base.mark_point(filled=True, color=colour, size=50, opacity=1).encode(x=x("at"), y=y("share"), tooltip=tips),
    ]
    return alt.LayerChart(layer=layers)


def _least(frames: Frames) -> str:
    """The smallest p-value, where any threshold was looked for."""
    least = frames["state_collapse"]["p_value"].min()
    return f" (least p = {number(least)}, corrected for all that was looked at)" if isinstance(least, float) else ""


def tells(frames: Frames) -> str:
    """The thresholds that are told from chance; else that none is, and the largest shares."""
    told = _told(frames)
    if told.height:
        return sentence(
            [
                f"beyond {number(r['threshold'])} {_unit(r['load'])} ({number(r['low'])} to {number(r['high'])}) "
                f"{HAPPENS[r['outcome']]} in {percent(r['share_beyond'])} of iterations, else in "
                f"{percent(r['share_within'])} (p = {number(r['p_value'])})"
                for r in told.to_dicts()
                if r["outcome"] in HAPPENS
            ]
        )
    curve = _curve(frames).drop_nulls("flip")
    if curve.is_empty():
        return ""
    said = []
    for load in (name for name in LOADS if name in curve["load"]):
        most = (
            curve.filter(pl.col("load") == load)
            .sort(["churn", "load_from"], descending=[True, False], nulls_last=True)
            .row(0, named=True)
        )
        if not most["churn"]:
            continue
        loads = " to ".join(dict.fromkeys(number(most[end]) for end in ("load_from", "load_to")))
        said.append(f"most other plans, {percent(most['churn'])} of steps, at {loads} {_unit(load)}")
    if not said and curve["churn"].count():
        said = [f"none of {count(int(curve['steps'].sum()) // curve['load'].n_unique(), 'step')} ran another plan"]
    return sentence([f"no load is told from chance beyond which answers leave their references{_least(frames)}", *said])


def _unit(load: str) -> str:
    return {"concurrency": "requests at once", "queue_ms": "ms in the queue", "free_mb": "MiB free"}[load]


CHART = Chart(
    "state_collapse",
    "State collapse",
    "Do answers leave their references beyond some load?",
    WANTS,
    build,
    tells,
    "regimes",
)
