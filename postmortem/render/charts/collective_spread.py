"""How long the first rank waits for the last at a collective, and who comes last: calm against pressured.

Columns wanted: ``collectives`` comm, seq, op, first_arrival_ns, wait_ns (ns from the first arrival to the last),
straggler_rank (NULL where the clocks do not tell who was last); ``links`` and ``baseline`` for when it was calm.

At the left each curve gives for every wait the share of collectives that waited at least as long, so that the one
largest wait among a million is its last point, ids and all.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import polars as pl

from postmortem.base.units import NS_PER_MS, count, number, percent
from postmortem.render.chart import Chart, Frames, Wants, note, nothing, sentence, values
from postmortem.render.phases import PHASES, phase
from postmortem.render.theme import CALM, LIT, WIDTH

#: Points of a curve, evenly spread over the logarithm of the share: the largest waits are all there.
POINTS = 160
#: More ranks than these are left out, those that came last the least.
MOST_RANKS = 16
#: Waits are drawn from here on, ms: clocks fitted by common ends are sure to about a microsecond.
LEAST_MS = 1e-3

WANTS: Wants = {
    "collectives": {
        "comm": pl.String,
        "seq": pl.Int64,
        "op": pl.String,
        "first_arrival_ns": pl.Int64,
        "wait_ns": pl.Int64,
        "straggler_rank": pl.Int64,
    },
    "links": {"start_ns": pl.Int64, "end_ns": pl.Int64},
    "baseline": {"start_ns": pl.Int64, "end_ns": pl.Int64},
}


def _phased(frames: Frames) -> pl.DataFrame:
    rows = frames["collectives"].drop_nulls(["first_arrival_ns", "wait_ns"])
    when = phase("first_arrival_ns", frames["links"], frames["baseline"])
    return rows.with_columns(phase=when, wait=pl.col("wait_ns").clip(0) / NS_PER_MS).drop_nulls("phase")


def build(frames: Frames) -> alt.TopLevelMixin:
    """The curves of waits, and beside them how often each rank came last."""
    rows = _phased(frames)
    if rows.is_empty():
        return alt.hconcat(nothing("no collective is recorded on two ranks, calm or pressured", WIDTH))
    said = []
    if rows["wait"].min() < LEAST_MS:  # type: ignore[operator]
        said.append(f"waits below {LEAST_MS * 1000:.0f} µs are drawn there")
    colour = alt.Color(
        "phase:N", title="when", sort=PHASES, scale=alt.Scale(domain=PHASES, range=[CALM, LIT])
    )  # fmt: skip
    curves = pl.concat([_curve(rows.filter(pl.col("phase") == name)) for name in PHASES])
    tips = [
        alt.Tooltip("phase:N", title="when"),
        alt.Tooltip("share:Q", title="waited at least as long", format=".3~%"),
        alt.Tooltip("wait:Q", title="waiting (ms)", format=".4~g"),
        "comm:N",
        "seq:Q",
        "op:N",
        alt.Tooltip("straggler_rank:Q", title="last rank"),
    ]
    base = alt.Chart(values(curves)).encode(
        x=alt.X(
            "drawn:Q",
            title="first arrival to last (ms, log scale)",
            scale=alt.Scale(type="log", nice=False),
            axis=alt.Axis(values=_decades(curves["drawn"])),
        ),
        y=alt.Y(
            "share:Q",
            title=["waited as long", "(% of collectives, log scale)"],
            scale=alt.Scale(type="log", nice=False),
            axis=alt.Axis(values=_decades(curves["share"]), format="~%"),
        ),
        color=colour,
    )
    dash = alt.StrokeDash("phase:N", title="when", sort=PHASES, scale=alt.Scale(domain=PHASES, range=[[4, 3], [1, 0]]))
    lines = base.mark_line(strokeWidth=1.5).encode(strokeDash=dash)
    points = base.mark_point(filled=True, size=14, opacity=1).encode(tooltip=tips)
    parts: list[Any] = [alt.layer(lines, points).properties(width=560, height=220)]
    last, cut = _last(rows)
    if cut:
        said.append(cut)
    if last.height:
        parts.append(_last_bars(last, colour))
    whole = alt.hconcat(*parts, title=note([f"Cap: {'; '.join(said)}."] if said else []))
    chart: alt.TopLevelMixin = whole.resolve_scale(color="shared")
    return chart


def _decades(figures: pl.Series) -> list[float]:
    """The powers of ten within some positive figures."""
    low, high = (int(np.floor(np.log10(x))) for x in (figures.min(), figures.max()))  # type: ignore[arg-type]
    return [10.0**n for n in range(low, high + 1)]


def _curve(rows: pl.DataFrame) -> pl.DataFrame:
    """At most POINTS collectives, from the largest wait down, with the share of those that waited as long."""
    ordered = rows.sort(["wait", "first_arrival_ns", "seq"], descending=[True, False, False])
    n = ordered.height
    places = np.unique(np.geomspace(1, n, POINTS).astype(int)) if n else np.array([], dtype=int)
    return ordered[places - 1].select(
        "phase",
        "wait",
        pl.col("wait").clip(LEAST_MS).alias("drawn"),
        pl.Series("share", places / max(n, 1), dtype=pl.Float64),
        "comm",
        "seq",
        "op",
        "straggler_rank",
    )


def _last(rows: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """How often each rank came last, a row a rank and phase, the most often first."""
    told = rows.drop_nulls("straggler_rank")
    shares = (
        told.group_by("phase", "straggler_rank")
        .agg(pl.len().alias("last"))
        .join(rows.group_by("phase").agg(pl.len().alias("of")), on="phase")
        .with_columns(share=pl.col("last") / pl.col("of"))
    )
    order = (
        shares.group_by("straggler_rank")
        .agg(pl.col("share").max())
        .sort("share", "straggler_rank", descending=[True, False])
    )
    named = order["straggler_rank"].head(MOST_RANKS)
    cut = f"the {MOST_RANKS} ranks that came last most often, of {order.height}" if order.height > MOST_RANKS else ""
    kept = shares.filter(pl.col("straggler_rank").is_in(named.implode()))
    return kept.select(rank="straggler_rank", phase="phase", last="last", of="of", share="share").sort(
        "rank", "phase"
    ), cut


def _last_bars(last: pl.DataFrame, colour: alt.Color) -> alt.Chart:
    bars: alt.Chart = (
        alt.Chart(values(last))
        .mark_bar()
        .encode(
            y=alt.Y("rank:O", title="rank"),
            yOffset=alt.YOffset("phase:N", sort=PHASES),
            x=alt.X("share:Q", title="came last (% of collectives)", axis=alt.Axis(format=".0%", tickCount=5)),
            color=colour,
            tooltip=[
                "rank:O",
                alt.Tooltip("phase:N", title="when"),
                alt.Tooltip("share:Q", format=".1%"),
                "last:Q",
                "of:Q",
            ],
        )
        .properties(width=320, height=max(40, min(220, 30 * last["rank"].n_unique())))
    )
    return bars


def tells(frames: Frames) -> str:
    """Median and largest wait, and who came last, for each phase."""
    rows = _phased(frames)
    last, _ = _last(rows)
    said = []
    for name in PHASES:
        own = rows.filter(pl.col("phase") == name)
        if own.is_empty():
            continue
        text = f"{name}: median wait {number(own['wait'].median())} ms, largest {number(own['wait'].max())} ms"  # type: ignore[arg-type]
        text += f" of {count(own.height, 'collective')}"
        most = last.filter(pl.col("phase") == name).sort("share", "rank", descending=[True, False]).head(1).to_dicts()
        if most:
            text += f", rank {most[0]['rank']} last in {percent(most[0]['share'])}"
        said.append(text)
    return sentence(said)


CHART = Chart(
    "collective_spread",
    "Arrival spread of collectives",
    "How long did ranks wait for the last one, and who was it?",
    WANTS,
    build,
    tells,
    "collectives",
)
