"""How full the matrix unit's fragments were at each batch size, calm against pressured.

Columns wanted: ``fragment_iterations`` iteration, start_ns, tokens, utilisation (share of the fragments' rows that
hold a token), algo_id; ``links`` and ``baseline`` for when it was calm.

The line is what any number of tokens fills, so that a batch that grows by one over a full fragment falls to the left of
it; a point is a number of tokens that ran, its area how often.
"""

from __future__ import annotations

import math

import altair as alt
import polars as pl

from postmortem.base.units import count, percent
from postmortem.render.chart import Chart, Frames, Wants, apart, cap, nothing, sentence, values
from postmortem.render.phases import PHASES, phase
from postmortem.render.theme import CALM, FIT, LIT, OTHER, SMALL, WIDTH

#: Side of a fragment, as fragment_iterations has it by default.
FRAGMENT = 16
#: Numbers of tokens that are drawn; of more, those that ran most often.
MOST = 60
#: Tactics that are named beside a point; the tooltip names all.
NAMED = 2
#: Room for a name, for its distance from its point (the largest reaches 21), for a letter, pixels; the height of
#: a line, of the axis of shares.
LABEL, BESIDE, LETTER, LINE = 160, 24, 6, 0.08
#: The line ends here: beyond 64 fragments less than one row in 60 can be empty.
LINE_TO = 64 * FRAGMENT
#: Up to here the tokens' axis is linear.
LINEAR_TO = 256

WANTS: Wants = {
    "fragment_iterations": {
        "iteration": pl.Int64,
        "start_ns": pl.Int64,
        "tokens": pl.Int64,
        "utilisation": pl.Float64,
        "algo_id": pl.String,
    },
    "links": {"start_ns": pl.Int64, "end_ns": pl.Int64},
    "baseline": {"start_ns": pl.Int64, "end_ns": pl.Int64},
}


def _phased(frames: Frames) -> pl.DataFrame:
    rows = frames["fragment_iterations"].drop_nulls(["tokens", "utilisation", "start_ns"]).filter(pl.col("tokens") > 0)
    return rows.with_columns(phase=phase("start_ns", frames["links"], frames["baseline"])).drop_nulls("phase")


def _points(rows: pl.DataFrame) -> pl.DataFrame:
    """One row a number of tokens and phase."""
    tactic = pl.col("algo_id").drop_nulls().unique().sort()
    return (
        rows.group_by("tokens", "phase")
        .agg(
            pl.col("utilisation").mean(),
            pl.len().alias("iterations"),
            tactic.str.join(", ").alias("tactics"),
            pl.concat_str(
                tactic.head(NAMED).str.join(", "),
                pl.when(tactic.len() > NAMED).then(pl.lit(", …")).otherwise(pl.lit("")),
            ).alias("named"),
            pl.col("iteration").min().alias("first"),
            pl.col("iteration").max().alias("last"),
        )
        .with_columns(share=pl.col("iterations") / pl.col("iterations").sum().over("phase"))
        .sort("tokens", "phase")
    )


def build(frames: Frames) -> alt.TopLevelMixin:
    """The saw-tooth of full and begun fragments, and on it what ran."""
    points = _points(_phased(frames))
    if points.is_empty():
        return nothing("no iteration records its batch", WIDTH)
    often = points.group_by("tokens").agg(pl.col("share").max()).sort(["share", "tokens"], descending=[True, False])
    said = f"the {MOST} numbers of tokens that ran most often, of {often.height}" if often.height > MOST else ""
    drawn = points.filter(pl.col("tokens").is_in(often["tokens"].head(MOST).implode()))
    most = int(drawn["tokens"].max())  # type: ignore[arg-type]
    end = (most // FRAGMENT + 1) * FRAGMENT
    log = end > LINEAR_TO
    scale = alt.Scale(type="log", base=2, domain=[1, end]) if log else alt.Scale(domain=[0, end], nice=False)

    def x(field: str) -> alt.X:
        title = "tokens multiplied at once (log scale)" if log else "tokens multiplied at once"
        ticks = [2.0**n for n in range(end.bit_length())] if log else [float(n) for n in range(0, end + 1, _step(end))]
        return alt.X(f"{field}:Q", title=title, scale=scale, axis=alt.Axis(values=ticks, format="d", grid=False))

    def y(field: str) -> alt.Y:
        title = ["rows of fragments", "that hold a token (%)"]
        axis = alt.Axis(format=".0%", tickCount=5)
        return alt.Y(f"{field}:Q", title=title, scale=alt.Scale(domain=[0, 1.08], nice=False), axis=axis)

    any_size = pl.DataFrame({"tokens": range(1, min(end, LINE_TO) + 1)}).with_columns(
        fills=pl.col("tokens") / (((pl.col("tokens") + FRAGMENT - 1) // FRAGMENT) * FRAGMENT)
    )
    line = alt.Chart(values(any_size)).mark_line(color=OTHER, strokeWidth=1, clip=True)
    colour = alt.Color("phase:N", title="when", sort=PHASES, scale=alt.Scale(domain=PHASES, range=[CALM, LIT]))
    shape = alt.Shape(
        "phase:N", title="when", sort=PHASES, scale=alt.Scale(domain=PHASES, range=["circle", "diamond"])
    )  # fmt: skip
    size = alt.Size("share:Q", scale=alt.Scale(domain=[0, 1], range=[40, 900]), legend=None)
    tips = [
        alt.Tooltip("phase:N", title="when"),
        "tokens:Q",
        alt.Tooltip("utilisation:Q", title="filled", format=".1%"),
        alt.Tooltip("iterations:Q", format=","),
        alt.Tooltip("share:Q", title="of its iterations", format=".1%"),
        alt.Tooltip("tactics:N", title="tactics"),
        alt.Tooltip("first:Q", title="first iteration"),
        alt.Tooltip("last:Q", title="last"),
    ]
    base = alt.Chart(values(drawn)).encode(x=x("tokens"), y=y("utilisation"))
    marks = base.mark_point(filled=True, opacity=0.75, clip=True).encode(
        color=colour, shape=shape, size=size, tooltip=tips
    )
    words = alt.Chart(values(_names(drawn, end, log=log)))
    labels = words.mark_text(dx=BESIDE, align="left", fontSize=SMALL, limit=LABEL).encode(
        x=x("tokens"), y=y("utilisation"), text="says:N"
    )
    return alt.layer(line.encode(x=x("tokens"), y=y("fills")), marks, labels).properties(
        width=WIDTH, autosize=FIT, height=200, title=cap(said)
    )


def _names(drawn: pl.DataFrame, end: int, *, log: bool) -> pl.DataFrame:
    """The names beside the points, of those that ran most often first; none that would lie on another."""
    first = pl.struct("tokens", "named").rank("ordinal").over("tokens") == 1
    often = drawn.filter(pl.col("named") != "").filter(first)
    said = apart(often["named"].unique().to_list(), (LABEL // LETTER) - len("tactic "))
    often = often.with_columns(says=pl.concat_str(pl.lit("tactic "), pl.col("named").replace(said)))
    kept: list[tuple[float, float, float]] = []
    rows = []
    for row in often.sort(["share", "tokens"], descending=[True, False]).to_dicts():
        left = WIDTH * (math.log2(row["tokens"]) / math.log2(end) if log else row["tokens"] / end)
        right = left + BESIDE + min(LABEL, LETTER * len(row["says"]))
        free = (left >= b or right <= a or abs(row["utilisation"] - at) >= LINE for a, b, at in kept)
        if all(free):
            kept.append((left, right, row["utilisation"]))
            rows.append(row)
    return pl.DataFrame(rows, schema=often.schema).select("tokens", "utilisation", "says").sort("tokens")


def _step(end: int) -> int:
    """Whole fragments between two ticks: at most about sixteen ticks."""
    return FRAGMENT * max(1, -(-end // (16 * FRAGMENT))) if end > 4 * FRAGMENT else FRAGMENT // 4


def tells(frames: Frames) -> str:
    """For each phase how full fragments were, and the number of tokens that ran most often."""
    points = _points(_phased(frames))
    said = []
    for name in PHASES:
        own = points.filter(pl.col("phase") == name).sort(["iterations", "tokens"], descending=[True, False])
        if own.is_empty():
            continue
        most = own.row(0, named=True)
        times = int(own["iterations"].sum())
        full = float((own["utilisation"] * own["iterations"]).sum()) / times
        said.append(
            f"{name}: {percent(full)} of the rows hold a token in the mean of {count(times, 'iteration')}, "
            f"most often {count(most['tokens'], 'token')} ({percent(most['share'])} of them, "
            f"{percent(most['utilisation'])} full{', tactic ' + most['named'] if most['named'] else ''})"
        )
    return sentence(said)


CHART = Chart(
    "fragment_utilisation",
    "How full fragments were",
    "How much of the matrix unit did each batch size fill?",
    WANTS,
    build,
    tells,
    "tactics",
)
