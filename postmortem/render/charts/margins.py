"""How clear each token's win was, beside the reference's, and where the two parted.

Columns wanted: ``request_steps`` req_id, step, margin (logits), algo_id, token_id, role (``request``
or ``reference``); ``flips`` req_id, step.
"""

from __future__ import annotations

import altair as alt
import polars as pl

from postmortem.render.chart import Chart, Frames, Wants, cap, nothing, values
from postmortem.render.columns import ceiling, extremes
from postmortem.render.theme import FIT, INK, LIT, OTHER, WIDTH

WANTS: Wants = {
    "request_steps": {
        "req_id": pl.String,
        "step": pl.Int64,
        "margin": pl.Float64,
        "algo_id": pl.String,
        "token_id": pl.Int64,
        "role": pl.String,
    },
    "flips": {"req_id": pl.String, "step": pl.Int64},
}


def build(frames: Frames) -> alt.TopLevelMixin:
    """Two lines over the steps, the flip as a diamond."""
    steps = frames["request_steps"].drop_nulls(["step", "margin", "role"])
    if steps.is_empty():
        return nothing("no step records its margin", WIDTH)
    close = steps.with_columns(closeness=-pl.col("margin"))
    drawn, said = extremes(close, "step", "closeness", ("role",))
    rows = drawn.select("req_id", "step", "margin", "algo_id", "token_id", "role")
    roles = ["request", "reference"]
    x = alt.X("step:Q", title="decode step", scale=alt.Scale(nice=False), axis=alt.Axis(tickMinStep=1, grid=False))
    y = alt.Y(
        "margin:Q",
        title="margin (logits, root scale)",
        scale=alt.Scale(type="sqrt", domain=[0, ceiling(rows["margin"])[0] * 1.1], nice=False),
        axis=alt.Axis(tickCount=4),
    )
    tips = ["req_id:N", "step:Q", alt.Tooltip("margin:Q", title="margin (logits)"), "algo_id:N", "token_id:Q"]
    colour = alt.Color("role:N", title="whose", sort=roles, scale=alt.Scale(domain=roles, range=[LIT, OTHER]))
    dash = alt.StrokeDash("role:N", scale=alt.Scale(domain=roles, range=[[1, 0], [4, 3]]), title="whose", sort=roles)
    base = alt.Chart(values(rows)).encode(x=x, y=y, color=colour)
    layers = [
        base.mark_line(strokeWidth=1.5).encode(strokeDash=dash),
        base.mark_point(filled=True, size=18, opacity=1).encode(tooltip=tips),
    ]
    own = rows.filter(pl.col("role") == "request").join(frames["flips"].drop_nulls(), on=["req_id", "step"])
    if own.height:
        mark = alt.Chart(values(own)).mark_point(
            shape="diamond", filled=True, size=200, color=LIT, stroke=INK, strokeWidth=0.8, opacity=1
        )
        layers.append(mark.encode(x=x, y=y, tooltip=tips))
    return alt.layer(*layers).properties(width=WIDTH, autosize=FIT, height=180, title=cap(said))


CHART = Chart("margins", "Margins by step", "How close was each token's win, and where did the two part?", WANTS, build)
