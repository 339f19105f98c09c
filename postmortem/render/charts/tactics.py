"""Which tactics ran, calm against pressured.

Columns wanted: ``tactic_iterations`` algo_id, phase (``calm`` or ``pressured``): one row an iteration.
"""

from __future__ import annotations

import altair as alt
import polars as pl

from postmortem.base.units import count, percent
from postmortem.render.chart import Chart, Frames, Wants, labels, nothing, sentence, values
from postmortem.render.phases import PHASES
from postmortem.render.theme import CALM as CALM_COLOUR
from postmortem.render.theme import FIT, LIT, SMALL, WIDTH

#: More tactics than these are summed up as one.
MOST = 12

WANTS: Wants = {"tactic_iterations": {"algo_id": pl.String, "phase": pl.String}}


def build(frames: Frames) -> alt.TopLevelMixin:
    """Two bars a tactic: its share of the calm and of the pressured iterations, in per cent."""
    ran = frames["tactic_iterations"].drop_nulls()
    if ran.is_empty():
        return nothing("no iteration records its tactic (algo_id)", WIDTH)
    by_share = ran["algo_id"].value_counts().sort("count", "algo_id", descending=[True, False])["algo_id"].to_list()
    named = by_share[:MOST]
    other = f"{len(by_share) - len(named)} others"
    rows = [*named, other] if len(by_share) > len(named) else named
    called = pl.when(pl.col("algo_id").is_in(named)).then(pl.col("algo_id")).otherwise(pl.lit(other))
    shares = (
        ran.select(called.alias("tactic"), "phase")
        .group_by("tactic", "phase")
        .len()
        .with_columns(share=pl.col("len") / pl.col("len").sum().over("phase"))
        .sort("tactic", "phase")
        .select("tactic", "phase", "share", iterations="len")
    )
    base = alt.Chart(values(shares)).encode(
        y=alt.Y("tactic:N", sort=rows, title="tactic (algo_id)", axis=alt.Axis(labelExpr=labels(rows))),
        yOffset=alt.YOffset("phase:N", sort=PHASES),
        x=alt.X(
            "share:Q",
            title="share of iterations (%)",
            axis=alt.Axis(format=".0%", tickCount=5),
            scale=alt.Scale(domain=[0, 1]),
        ),
        tooltip=["tactic:N", "phase:N", alt.Tooltip("share:Q", format=".1%"), "iterations:Q"],
    )
    bars = base.mark_bar().encode(
        color=alt.Color("phase:N", title="when", sort=PHASES, scale=alt.Scale(domain=PHASES, range=[CALM_COLOUR, LIT]))
    )
    figures = base.mark_text(align="left", dx=3, fontSize=SMALL).encode(text=alt.Text("share:Q", format=".1%"))
    return alt.layer(bars, figures).properties(width=WIDTH, autosize=FIT, height=max(40, 34 * len(rows)))


def tells(frames: Frames) -> str:
    """Each phase's most frequent tactics with their shares."""
    ran = frames["tactic_iterations"].drop_nulls()
    said = []
    for name in PHASES:
        own = ran.filter(pl.col("phase") == name)
        most = own["algo_id"].value_counts().sort("count", "algo_id", descending=[True, False]).head(3).rows()
        if most:
            shares = ", ".join(f"{tactic} in {percent(n / own.height)}" for tactic, n in most)
            said.append(f"{name}, {count(own.height, 'iteration')}: tactic {shares}")
    return sentence(said)


CHART = Chart(
    "tactics",
    "Tactics, calm against pressured",
    "Did other tactics run than when calm?",
    WANTS,
    build,
    tells,
    "tactics",
)
