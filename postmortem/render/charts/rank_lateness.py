"""Which rank kept the others waiting, and when: rank by iteration.

Columns wanted: ``rank_iterations`` rank, iteration, start_ns, sync_ns (ns waited in the iteration's
collectives). A rank's lateness in an iteration is what the rank that waited the most waited beyond
it, in ms: the late rank itself hardly waits.
"""

from __future__ import annotations

import altair as alt
import polars as pl

from postmortem.base.units import NS_PER_MS, count, number, percent
from postmortem.render.chart import Chart, Frames, Wants, cap, nothing, sentence, values
from postmortem.render.theme import FIT, HEAT, HEATED, LIT, WIDTH

#: Cells along the iterations; each shows the largest lateness among its iterations.
CELLS = 240
#: More ranks than these are cut to the latest ones.
MOST_RANKS = 64
#: More cells than these are cut to the latest ones: a browser draws them in a tenth of a second.
MOST_CELLS = 4800

WANTS: Wants = {
    "rank_iterations": {"rank": pl.Int64, "iteration": pl.Int64, "sync_ns": pl.Int64},
    "links": {"kind": pl.String, "iteration": pl.Int64},
}


def _late(frames: Frames) -> pl.DataFrame:
    """Each rank's lateness in each iteration, ms; empty where fewer than two ranks are recorded."""
    rows = frames["rank_iterations"].drop_nulls()
    if rows["rank"].n_unique() < 2:
        return rows.clear().with_columns(late=pl.lit(None, dtype=pl.Float64))
    return rows.with_columns(late=(pl.col("sync_ns").max().over("iteration") - pl.col("sync_ns")) / NS_PER_MS)


def build(frames: Frames) -> alt.TopLevelMixin:
    """The heat map, the flip's iteration as a dashed line."""
    rows = late = _late(frames)
    if rows.is_empty():
        return nothing("fewer than two ranks are recorded: none can be late", WIDTH)
    first, last = int(rows["iteration"].min()), int(rows["iteration"].max())  # type: ignore[arg-type]
    per_cell = max(1, -(-(last - first + 1) // CELLS))
    cells = (
        late.with_columns(cell=(pl.col("iteration") - first) // per_cell * per_cell + first)
        .sort(["late", "iteration"], descending=[True, False])
        .unique(["rank", "cell"], keep="first", maintain_order=True)
        .sort("rank", "cell")
    )
    worst = cells.group_by("rank").agg(pl.col("late").sum()).sort("late", "rank", descending=[True, False])
    ranks = sorted(worst["rank"].head(MOST_RANKS).to_list())
    drawn = cells.filter(pl.col("rank").is_in(ranks)).select(
        "rank", "iteration", "late", x="cell", x2=pl.col("cell") + per_cell
    )
    said = [f"each cell the largest of {per_cell} iterations"] if per_cell > 1 else []
    if drawn.height > MOST_CELLS:
        said.append(f"the {MOST_CELLS} latest of {drawn.height} cells, the others left blank")
        latest = drawn.sort(["late", "rank", "x"], descending=[True, False, False]).head(MOST_CELLS)
        drawn = latest.sort("rank", "x")
    if worst.height > len(ranks):
        said.append(f"the {len(ranks)} latest of {worst.height} ranks")
    x = alt.X(
        "x:Q", title="iteration", scale=alt.Scale(domain=[first, last + 1], nice=False), axis=alt.Axis(grid=False)
    )
    heat = (
        alt.Chart(values(drawn))
        .mark_rect(strokeWidth=0)
        .properties(name=HEATED)
        .encode(
            x=x,
            x2="x2:Q",
            y=alt.Y("rank:O", title="rank", sort=ranks, axis=alt.Axis(labelOverlap=True)),
            color=alt.Color("late:Q", title="lateness (ms)", scale=alt.Scale(range=list(HEAT))),
            tooltip=["rank:O", "iteration:Q", alt.Tooltip("late:Q", title="lateness (ms)", format=".3f")],
        )
    )
    layers: list[alt.Chart] = [heat]
    flip = frames["links"].filter(pl.col("kind") == "token_flip").drop_nulls("iteration").select(x="iteration")
    if flip.height:
        layers.append(alt.Chart(values(flip)).mark_rule(color=LIT, strokeDash=[3, 3]).encode(x=x))
    return alt.layer(*layers).properties(
        width=WIDTH, autosize=FIT, height=max(60, min(18, 640 // len(ranks)) * len(ranks)), title=cap("; ".join(said))
    )


def tells(frames: Frames) -> str:
    """The rank with the most lateness, how often it was the latest, and its worst iteration."""
    late = _late(frames)
    if late.is_empty():
        return ""
    latest = late.filter(pl.col("late") == pl.col("late").max().over("iteration")).filter(pl.col("late") > 0)
    total = late.group_by("rank").agg(pl.col("late").sum()).sort(["late", "rank"], descending=[True, False])
    rank = total["rank"][0]
    worst = late.filter(pl.col("rank") == rank).sort(["late", "iteration"], descending=[True, False]).row(0, named=True)
    often = latest.filter(pl.col("rank") == rank).height / late["iteration"].n_unique()
    said = (
        f"rank {rank} kept the others waiting the most: the latest in {percent(often)} of "
        f"{count(late['iteration'].n_unique(), 'iteration')}, by up to {number(worst['late'])} ms "
        f"(iteration {worst['iteration']})"
    )
    return sentence([said])


CHART = Chart(
    "rank_lateness",
    "Lateness by rank",
    "Which rank kept the others waiting, and when?",
    WANTS,
    build,
    tells,
    "ranks",
)
