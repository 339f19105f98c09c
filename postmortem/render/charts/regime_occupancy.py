"""How each replica and rank divided its time between regimes.

Columns wanted: ``regime_occupancy`` replica, rank (NULL: the replica), regime, share (of the time), times,
iterations, total_ns (ns).
"""

from __future__ import annotations

import altair as alt
import polars as pl

from postmortem.base.units import NS_PER_MS, count, percent
from postmortem.render.chart import Chart, Frames, Wants, cap, labels, nothing, sentence, values
from postmortem.render.theme import ALIKE, FIT, OTHER, REGIME_COLOURS, WIDTH

#: More rows than these are cut: replicas first, then the ranks that were least normal.
MOST = 24

WANTS: Wants = {
    "regime_occupancy": {
        "replica": pl.String,
        "rank": pl.Int64,
        "regime": pl.String,
        "share": pl.Float64,
        "times": pl.Int64,
        "iterations": pl.Int64,
        "total_ns": pl.Int64,
    }
}


def _named(frames: Frames) -> pl.DataFrame:
    """The rows with whose they are, in words."""
    whose = pl.concat_str(
        pl.concat_str(pl.lit("replica "), pl.col("replica")).fill_null("replica unknown"),
        pl.when(pl.col("rank").is_null()).then(pl.lit("")).otherwise(pl.concat_str(pl.lit(", rank "), pl.col("rank"))),
    )
    return frames["regime_occupancy"].drop_nulls(["regime", "share"]).with_columns(whose=whose)


def _unlike(rows: pl.DataFrame) -> pl.DataFrame:
    """The replicas' rows, and those of ranks that divided their time in another way than their replica."""
    whole = rows.filter(pl.col("rank").is_null()).select("replica", "regime", pl.col("share").alias("replicas"))
    gap = (pl.col("share") - pl.col("replicas").fill_null(0)).abs().max().over("replica", "rank")
    both = rows.join(whole, on=["replica", "regime"], how="left", nulls_equal=True)
    return both.filter(pl.col("rank").is_null() | (gap >= ALIKE))


def build(frames: Frames) -> alt.TopLevelMixin:
    """A bar a replica and rank, divided by regime."""
    named = _named(frames)
    if named.is_empty():
        return nothing("no record tells the regime (memory, paging, isolation, queue)", WIDTH)
    rows = _unlike(named)
    normal = pl.col("share").filter(pl.col("regime") == "normal").sum()
    order = (
        rows.group_by("whose", "replica", "rank")
        .agg(normal=normal)
        .sort(pl.col("rank").is_not_null(), "normal", "replica", "rank", nulls_last=True)
        .head(MOST)
        .sort("replica", "rank", nulls_last=False)["whose"]
        .to_list()
    )
    said = []
    if rows["whose"].n_unique() > MOST:
        said.append(f"{len(order)} of {rows['whose'].n_unique()} rows, the least normal")
    alike = named["whose"].n_unique() - rows["whose"].n_unique()
    if alike:
        said.append(f"{count(alike, 'rank')} left out that divided their time as their replica did")
    known = list(REGIME_COLOURS)
    drawn = rows.filter(pl.col("whose").is_in(order)).with_columns(
        place=pl.col("regime").replace_strict(known, range(len(known)), default=len(known), return_dtype=pl.Int64)
    )
    seen = sorted(
        drawn["regime"].unique().to_list(), key=lambda name: (known.index(name) if name in known else len(known), name)
    )
    rows = drawn.sort("whose", "place", "regime").select(
        "whose", "place", pl.col("regime").str.replace_all("_", " "), "share", "times", "iterations",
        ms=pl.col("total_ns") / NS_PER_MS,
    )  # fmt: skip
    bars: alt.Chart = (
        alt.Chart(values(rows))
        .mark_bar()
        .encode(
            y=alt.Y("whose:N", sort=order, title=None, axis=alt.Axis(grid=False, labelExpr=labels(order))),
            x=alt.X(
                "share:Q",
                title="share of its time (%)",
                stack="zero",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format=".0%", tickCount=5),
            ),
            color=alt.Color(
                "regime:N",
                title="regime",
                scale=alt.Scale(
                    domain=[name.replace("_", " ") for name in seen],
                    range=[REGIME_COLOURS.get(name, OTHER) for name in seen],
                ),
            ),
            order="place:Q",
            tooltip=[
                "whose:N",
                "regime:N",
                alt.Tooltip("share:Q", format=".1%"),
                alt.Tooltip("times:Q", title="entered (times)"),
                "iterations:Q",
                alt.Tooltip("ms:Q", title="time in it (ms)", format=".1f"),
            ],
        )
    )
    chart: alt.Chart = bars.properties(
        width=WIDTH, autosize=FIT, height=max(40, 22 * len(order)), title=cap("; ".join(said))
    )
    return chart


def tells(frames: Frames) -> str:
    """Each replica's regimes, the longest first."""
    rows = _named(frames).filter(pl.col("rank").is_null()).sort(["share", "regime"], descending=[True, False])
    said = []
    for (whose,), own in rows.sort("whose", maintain_order=True).group_by("whose", maintain_order=True):
        parts = [f"{r['regime'].replace('_', ' ')} {percent(r['share'])}" for r in own.to_dicts()]
        said.append(f"{whose}: {', '.join(parts)}")
    return sentence(said)


CHART = Chart(
    "regime_occupancy",
    "Regimes by replica and rank",
    "How was time divided between regimes?",
    WANTS,
    build,
    tells,
    "regimes",
)
