"""How clear each token's win was, beside the reference's, and where the two parted.

Columns wanted: ``request_steps`` req_id, step, margin (logits), algo_id, precision_path, token_id, role (``request``
or ``reference``); ``flips`` req_id, step; ``plan_noise_between`` tactic, reference_tactic, precision,
reference_precision, most_moved (logits).

The band reaches as far as margins were seen to move between the two plans that ran: a win within it could have gone
the other way.
"""

from __future__ import annotations

import altair as alt
import polars as pl

from postmortem.base.units import count, number
from postmortem.render.chart import Chart, Frames, Wants, note, nothing, sentence, values
from postmortem.render.columns import ceiling, extremes
from postmortem.render.theme import FIT, INK, LIT, OTHER, SHADE, WIDTH

WANTS: Wants = {
    "request_steps": {
        "req_id": pl.String,
        "step": pl.Int64,
        "margin": pl.Float64,
        "algo_id": pl.String,
        "precision_path": pl.String,
        "token_id": pl.Int64,
        "role": pl.String,
    },
    "flips": {"req_id": pl.String, "step": pl.Int64},
    "plan_noise_between": {
        "tactic": pl.String,
        "reference_tactic": pl.String,
        "precision": pl.String,
        "reference_precision": pl.String,
        "most_moved": pl.Float64,
    },
}


def _steps(frames: Frames) -> pl.DataFrame:
    return frames["request_steps"].drop_nulls(["step", "margin", "role"])


def _own_flip(frames: Frames) -> pl.DataFrame:
    """The request's own step that flipped; none where it did not."""
    own = _steps(frames).filter(pl.col("role") == "request")
    return own.join(frames["flips"].drop_nulls().unique(), on=["req_id", "step"], how="semi")


def _band(frames: Frames) -> float | None:
    """The widest move of a margin between the plans that the two ran up to the flip; None where not known."""
    steps = frames["request_steps"].drop_nulls(["step", "role"])
    flip = _own_flip(frames)["step"].min()
    if isinstance(flip, int):
        steps = steps.filter(pl.col("step") <= flip)
    mine, theirs = (
        steps.filter(pl.col("role") == role).select("step", f_tactic="algo_id", f_precision="precision_path")
        for role in ("request", "reference")
    )
    pairs = mine.join(theirs, on="step", suffix="_reference").select(
        tactic="f_tactic",
        reference_tactic="f_tactic_reference",
        precision="f_precision",
        reference_precision="f_precision_reference",
    )
    other = pairs.filter(
        pl.col("tactic").ne_missing(pl.col("reference_tactic"))
        | pl.col("precision").ne_missing(pl.col("reference_precision"))
    )
    moved = frames["plan_noise_between"].join(other, on=pairs.columns, how="semi", nulls_equal=True)["most_moved"].max()
    return moved if isinstance(moved, float) else None


def build(frames: Frames) -> alt.TopLevelMixin:
    """Two lines over the steps, the noise band behind them, the flip as a diamond."""
    steps = _steps(frames)
    if steps.is_empty():
        return nothing("no step records its margin", WIDTH)
    close = steps.with_columns(closeness=-pl.col("margin"))
    drawn, cut = extremes(close, "step", "closeness", ("role",))
    said = [f"Cap: {cut.replace('largest', 'smallest')}."] if cut else []
    rows = drawn.select("req_id", "step", "margin", "algo_id", "token_id", "role")
    roles = ["request", "reference"]
    band = _band(frames)
    top = ceiling(rows["margin"])[0] * 1.1
    if band is not None:
        top = max(top, band * 1.1)
        said.append(f"Shaded: margins up to {number(band)} logits, the noise between the two tactics that ran.")
    x = alt.X("step:Q", title="decode step", scale=alt.Scale(nice=False), axis=alt.Axis(tickMinStep=1, grid=False))
    title = "margin (logits, root scale)"
    y = alt.Y(
        "margin:Q",
        title=title,
        scale=alt.Scale(type="sqrt", domain=[0, top], nice=False),
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
    if band is not None:
        shade = alt.Chart(values(pl.DataFrame({"low": [0.0], "high": [band]}))).mark_rect(color=SHADE)
        layers.insert(0, shade.encode(y=alt.Y("low:Q", title=title), y2="high:Q"))
    own = _own_flip(frames).select("req_id", "step", "margin", "algo_id", "token_id")
    if own.height:
        mark = alt.Chart(values(own)).mark_point(
            shape="diamond", filled=True, size=200, color=LIT, stroke=INK, strokeWidth=0.8, opacity=1
        )
        layers.append(mark.encode(x=x, y=y, tooltip=tips))
    return alt.layer(*layers).properties(width=WIDTH, autosize=FIT, height=180, title=note(said))


def tells(frames: Frames) -> str:
    """The request's closest win, its flip, and the noise that it lies within."""
    own = _steps(frames).filter(pl.col("role") == "request").sort("margin", "step")
    if own.is_empty():
        return ""
    closest = own.row(0, named=True)
    closest_win = (
        f"the closest win of {closest['req_id']} is step {closest['step']}, by {number(closest['margin'])} logits; "
        f"the median of its {count(own.height, 'step')} is {number(own['margin'].median())}"  # type: ignore[arg-type]
    )
    said = [closest_win]
    band = _band(frames)
    if band is not None:
        thin = own.filter(pl.col("margin") <= band).height
        said.append(f"{count(thin, 'step')} won by no more than {number(band)}, the noise between the two tactics")
    said += [f"it flipped at step {f['step']}, margin {number(f['margin'])}" for f in _own_flip(frames).to_dicts()]
    return sentence(said)


CHART = Chart(
    "margins",
    "Margins by step",
    "How close was each token's win, and where did the two part?",
    WANTS,
    build,
    tells,
    "margins",
)
