"""Why warps waited, kernel by kernel, beside whether data stayed in the L2 cache, iteration by iteration.

Columns wanted: ``warp_stalls`` kernel_name, reason, share (of all stalls of a launch), stalled;
``rank_residency`` rank, iteration, l2_hit (%), long_scoreboard (share of stalls); ``links`` rank, kind, iteration.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl

from postmortem.base.units import number, percent
from postmortem.render.chart import Chart, Frames, Wants, labels, note, nothing, sentence, values
from postmortem.render.columns import extremes
from postmortem.render.theme import INK, LIT, OTHER, TACTIC_COLOURS, WIDTH

#: Kernels that are drawn, those with the most launches; reasons that have a colour, the largest ones.
MOST_KERNELS = 10
MOST_REASONS = len(TACTIC_COLOURS)
#: The reason that says "waits for memory", always drawn by its name.
MEMORY = "long_scoreboard"
#: Columns along the iterations, for each rank; ranks beside the blamed ones, those with the fewest hits.
COUNT = 200
MOST_RANKS = 8
#: Letters of a kernel's name that fit beside its bar.
ROOM = 20

WANTS: Wants = {
    "warp_stalls": {"kernel_name": pl.String, "reason": pl.String, "share": pl.Float64, "stalled": pl.Boolean},
    "rank_residency": {"rank": pl.Int64, "iteration": pl.Int64, "l2_hit": pl.Float64, "long_scoreboard": pl.Float64},
    "links": {"kind": pl.String, "rank": pl.Int64, "iteration": pl.Int64},
}


def build(frames: Frames) -> alt.TopLevelMixin:
    """Stacked bars a kernel at the left, two lines a rank at the right: what is recorded of the two."""
    notes: list[str] = []
    parts: list[Any] = [*_stalls(frames, notes), *_residency(frames, notes)]
    if not parts:
        return alt.hconcat(nothing("neither warp stalls nor the L2 hit rate is recorded", WIDTH))
    whole = alt.hconcat(*parts, title=note([f"Cap: {'; '.join(notes)}."] if notes else []))
    chart: alt.TopLevelMixin = whole.resolve_scale(color="independent")
    return chart


def _shares(frames: Frames) -> pl.DataFrame:
    """Each kernel's stall reasons, the mean share over its launches; a row a kernel and reason."""
    rows = frames["warp_stalls"].filter(pl.col("stalled")).drop_nulls(["kernel_name", "reason", "share"])
    launches = rows.group_by("kernel_name", "reason").agg(pl.col("share").sum(), pl.len().alias("launches"))
    total = pl.col("share") / pl.col("share").sum().over("kernel_name")
    return launches.with_columns(share=total).sort("kernel_name", "reason")


def _stalls(frames: Frames, notes: list[str]) -> list[alt.Chart]:
    shares = _shares(frames)
    if shares.is_empty():
        return []
    by_launches = (
        shares.group_by("kernel_name")
        .agg(pl.col("launches").max())
        .sort("launches", "kernel_name", descending=[True, False])
    )
    kernels = by_launches["kernel_name"].head(MOST_KERNELS).to_list()
    if by_launches.height > MOST_KERNELS:
        notes.append(f"{MOST_KERNELS} of {by_launches.height} kernels, those with the most launches")
    shares = shares.filter(pl.col("kernel_name").is_in(kernels))
    size = shares.group_by("reason").agg(pl.col("share").sum()).sort("share", "reason", descending=[True, False])
    reasons = size["reason"].to_list()
    named = [*(r for r in reasons if r == MEMORY), *(r for r in reasons if r != MEMORY)][:MOST_REASONS]
    other = f"{len(reasons) - len(named)} others"
    domain = [*named, other] if len(reasons) > len(named) else named
    called = pl.when(pl.col("reason").is_in(named)).then(pl.col("reason")).otherwise(pl.lit(other))
    rows = (
        shares.group_by("kernel_name", called.alias("reason"))
        .agg(pl.col("share").sum())
        .with_columns(place=pl.col("reason").replace_strict(domain, range(len(domain)), return_dtype=pl.Int64))
        .sort("kernel_name", "place")
    )
    colours = [*TACTIC_COLOURS[: len(named)], OTHER][: len(domain)]
    bars: alt.Chart = (
        alt.Chart(values(rows))
        .mark_bar()
        .encode(
            y=alt.Y("kernel_name:N", sort=kernels, title=None,
                    axis=alt.Axis(labelLimit=150, labelExpr=labels(kernels, ROOM))),
            x=alt.X("share:Q", title="share of warp stalls (%)", stack="zero", axis=alt.Axis(format=".0%", tickCount=5),
                    scale=alt.Scale(domain=[0, 1])),
            color=alt.Color("reason:N", title="stalled for", sort=domain, legend=alt.Legend(columns=4),
                            scale=alt.Scale(domain=domain, range=colours)),
            order="place:Q",
            tooltip=["kernel_name:N", "reason:N", alt.Tooltip("share:Q", format=".1%")],
        )
        .properties(width=290, height=max(60, 22 * len(kernels)))
    )  # fmt: skip
    return [bars]


def _residency(frames: Frames, notes: list[str]) -> list[alt.VConcatChart]:
    rows = frames["rank_residency"].drop_nulls(["rank", "iteration"])
    blamed = frames["links"]["rank"].drop_nulls().unique().to_list()
    hits = rows.group_by("rank").agg(pl.col("l2_hit").min()).sort("l2_hit", "rank", nulls_last=True)
    others = hits.filter(~pl.col("rank").is_in(blamed))["rank"]
    if others.len() > MOST_RANKS:
        notes.append(f"beside the blamed ranks, {MOST_RANKS} of {others.len()}, those with the fewest hits")
    rows = rows.filter(pl.col("rank").is_in([*blamed, *others.head(MOST_RANKS)]))
    whose = pl.when(pl.col("rank").is_in(blamed)).then(pl.lit("blamed rank")).otherwise(pl.lit("other ranks"))
    flips = frames["links"].filter(pl.col("kind") == "token_flip").drop_nulls("iteration").select("iteration")
    lanes = []
    for column, name, form, low in (
        ("l2_hit", "L2 hit rate (%)", ".1f", True),
        (MEMORY, "long scoreboard (% of stalls)", ".0%", False),
    ):
        told = rows.drop_nulls(column)
        if told.is_empty():
            continue
        # What a review looks for: few hits, many stalls.
        worst = told.with_columns(worst=-pl.col(column) if low else pl.col(column))
        drawn, said = extremes(worst, "iteration", "worst", ("rank",), count=COUNT)
        if said:
            notes.append(f"{name.split(' (')[0]}: {said.replace('largest', 'lowest') if low else said}")
        x = alt.X(
            "iteration:Q", title="iteration" if column == MEMORY else None, scale=alt.Scale(nice=False, zero=False)
        )
        y = alt.Y(f"{column}:Q", title=name, axis=alt.Axis(tickCount=4, format=".0f" if low else ".0%"))
        lines = alt.Chart(values(drawn.select("rank", "iteration", column, whose=whose))).mark_line(
            strokeWidth=1.2, point={"size": 10}
        )
        domain = ["blamed rank", "other ranks"]
        layers = [
            lines.encode(
                x=x, y=y, detail="rank:N",
                color=alt.Color("whose:N", title="whose", scale=alt.Scale(domain=domain, range=[LIT, OTHER])),
                tooltip=["rank:Q", "iteration:Q", alt.Tooltip(f"{column}:Q", title=name, format=form)],
            )
        ]  # fmt: skip
        if flips.height:
            layers.append(alt.Chart(values(flips)).mark_rule(color=INK, strokeDash=[3, 3]).encode(x=x))
        lanes.append(alt.layer(*layers).properties(width=460, height=100))
    return [alt.vconcat(*lanes)] if lanes else []


def tells(frames: Frames) -> str:
    """The largest part that waits for memory, and each blamed rank's lowest hit rate."""
    said = []
    memory = _shares(frames).filter(pl.col("reason") == MEMORY).sort(["share", "kernel_name"], descending=[True, False])
    if memory.height:
        top = memory.row(0, named=True)
        said.append(
            f"waiting for memory (long scoreboard) is {percent(top['share'])} of the stalls of {top['kernel_name']}"
        )
    rows = frames["rank_residency"].drop_nulls(["rank", "iteration", "l2_hit"]).sort("l2_hit", "rank", "iteration")
    if rows.height:
        worst = rows.row(0, named=True)
        said.append(
            f"the lowest L2 hit rate is {number(worst['l2_hit'])} %, on rank {worst['rank']} in iteration "
            f"{worst['iteration']}; the median over all is {number(rows['l2_hit'].median())} %"  # type: ignore[arg-type]
        )
    return sentence(said)


CHART = Chart(
    "residency",
    "Warp stalls and L2 hit rate",
    "Did warps wait for memory, and did data stay in the cache?",
    WANTS,
    build,
    tells,
    "hardware",
)
