"""The ranks' lanes and the collectives': where time went, and who was waited for."""

from __future__ import annotations

import altair as alt
import polars as pl

from postmortem.base.units import NS_PER_MS
from postmortem.render.chart import Frames, values
from postmortem.render.columns import ceiling, ended, extremes
from postmortem.render.lanes.request import life
from postmortem.render.theme import DIMMED, LANE, LIT, OTHER, STATE_COLOURS
from postmortem.render.time_axis import Span, lane_axis, time_x, within

#: More ranks than these are not drawn one by one: the blamed ones, then those that wait the most.
MOST_RANKS = 8

_STATES = ("compute", "transfer", "waiting", "idle")
_STATE_COLUMNS = dict(zip(_STATES, ("compute_ns", "comm_ns", "sync_ns", "idle_ns"), strict=True))


def rank_lanes(frames: Frames, span: Span, notes: list[str]) -> list[list[alt.Chart]]:
    """A lane a rank: each iteration's milliseconds by what they were spent on."""
    all_ranks = within(frames["rank_iterations"].drop_nulls(["rank", "start_ns", "end_ns"]), span, "start_ns", "end_ns")
    if all_ranks.is_empty():
        return []
    blamed = frames["links"]["rank"].drop_nulls().unique().to_list()
    order = all_ranks.group_by("rank").agg(pl.col("sync_ns").sum()).sort("sync_ns", "rank", descending=[True, False])
    ranks = [r for r in order["rank"].to_list() if r in blamed] + [
        r for r in order["rank"].to_list() if r not in blamed
    ]
    if len(ranks) > MOST_RANKS:
        notes.append(f"{MOST_RANKS} of {len(ranks)} ranks, the blamed and those that waited the most")
    timed = all_ranks.filter(pl.col("rank").is_in(ranks[:MOST_RANKS])).with_columns(
        (pl.col(column).fill_null(0).clip(0) / NS_PER_MS).alias(state) for state, column in _STATE_COLUMNS.items()
    )
    timed = timed.with_columns(total=pl.sum_horizontal(_STATES))
    drawn, said = extremes(timed, "start_ns", "total", ("rank",))
    if said:
        notes.append(f"iterations: {said}")
    top, over = ceiling(drawn["total"])
    if over:
        notes.append(f"iterations above {top:.3g} ms are marked by a triangle")
    lit = life(frames, span)
    lanes: list[list[alt.Chart]] = []
    for rank in sorted(ranks[:MOST_RANKS]):
        own = drawn.filter(pl.col("rank") == rank).with_columns(
            span.since("start_ns").clip(0).alias("t"), span.since("end_ns").alias("t2")
        )
        name = f"rank {rank}, blamed\nms an iteration" if rank in blamed else f"rank {rank}\nms an iteration"
        lanes.append(_rank_lane(own, name, top, span, lit, first=not lanes))
    return lanes


def _rank_lane(
    own: pl.DataFrame, name: str, top: float, span: Span, lit: tuple[float, float] | None, *, first: bool
) -> list[alt.Chart]:
    """The iterations, dimmed but for those of the request's ``lit`` life."""
    drawn = ended(own.select("t", "t2", "rank", "iteration", *(pl.col(s).round(3) for s in _STATES)), "t", "t2")
    states = [_states(drawn, name, top, span, opacity=DIMMED if lit else 1.0, first=first)]
    if lit:
        # With the iteration before, which its first step fell into, and the one after, where the area ends.
        near = (pl.col("t2") >= lit[0]) & (pl.col("t").shift(1).fill_null(0) <= lit[1])
        states.append(_states(drawn.filter(near), name, top, span, opacity=1.0, first=first))
    tips = [
        alt.Tooltip("rank:Q"),
        alt.Tooltip("iteration:Q"),
        *(alt.Tooltip(f"{s}:Q", title=f"{s} (ms)", format=".3f") for s in _STATES),
    ]
    touch = alt.Chart(values(drawn)).mark_rect(opacity=0, clip=True).encode(x=time_x(span), x2="t2:Q", tooltip=tips)
    giants = own.filter(pl.col("total") > top).select("t", "rank", "iteration", "total", at=pl.lit(top))
    marks = (
        alt.Chart(values(giants))
        .mark_point(shape="triangle-up", filled=True, color=LIT, size=50, yOffset=5, opacity=1, clip=True)
        .encode(
            x=time_x(span),
            y="at:Q",
            tooltip=[*tips[:2], alt.Tooltip("total:Q", title="whole iteration (ms)", format=".3f")],
        )
    )
    return [*states, touch, *([marks] if giants.height else [])]


def _states(data: pl.DataFrame, name: str, top: float, span: Span, *, opacity: float, first: bool) -> alt.Chart:
    """Iterations as areas, one on the other."""
    states: alt.Chart = (
        alt.Chart(values(data))
        .transform_fold(list(_STATES), as_=["state", "ms"])
        .transform_calculate(order=f"indexof({list(_STATES)}, datum.state)")
        .mark_area(interpolate="step-after", clip=True, line=False, opacity=opacity)
        .encode(
            x=time_x(span),
            y=alt.Y("ms:Q", stack="zero", scale=alt.Scale(domain=[0, top]), axis=lane_axis(name, LANE)),
            color=alt.Color(
                "state:N",
                sort=None,
                scale=alt.Scale(domain=list(_STATES), range=[STATE_COLOURS[s] for s in _STATES]),
                legend=alt.Legend(title="a rank's time") if first else None,
            ),
            order="order:Q",
        )
    )
    return states


def collective_lane(frames: Frames, span: Span, notes: list[str]) -> list[alt.Chart]:
    """How long the first rank waited for the last at each collective."""
    spreads = within(frames["collectives"].drop_nulls(["first_arrival_ns", "wait_ns"]), span, "first_arrival_ns")
    if spreads.is_empty():
        return []
    drawn, said = extremes(spreads, "first_arrival_ns", "wait_ns")
    if said:
        notes.append(f"collectives: {said}")
    blamed = frames["links"]["rank"].drop_nulls().unique().to_list()
    late = f"rank {', '.join(map(str, sorted(blamed)))} last" if blamed else "the straggler last"
    rows = drawn.select(
        span.since("first_arrival_ns").alias("t"),
        (pl.col("wait_ns") / NS_PER_MS).alias("wait"),
        (pl.col("transfer_ns") / NS_PER_MS).alias("transfer"),
        "comm",
        "seq",
        "op",
        last=pl.col("straggler_rank").cast(pl.String).fill_null("the clocks do not tell"),
        who=pl.when(pl.col("straggler_rank").is_in(blamed)).then(pl.lit(late)).otherwise(pl.lit("another last")),
    )
    top, over = ceiling(rows["wait"])
    if over:
        notes.append(f"waits above {top:.3g} ms are drawn at the top, their own figure in the tooltip")
    lit = life(frames, span)
    seen = pl.lit(1.0) if lit is None else pl.when(pl.col("t").is_between(*lit)).then(1.0).otherwise(DIMMED)
    rows = rows.with_columns(pl.col("wait").clip(0, top).alias("shown"), pl.lit(0.0).alias("zero"), seen=seen)
    colour = alt.Color(
        "who:N",
        scale=alt.Scale(domain=[late, "another last"], range=[STATE_COLOURS["waiting"], OTHER]),
        legend=alt.Legend(title="who came last", symbolType="stroke", symbolStrokeWidth=3) if blamed else None,
    )
    tips = [
        alt.Tooltip("seq:Q"),
        alt.Tooltip("op:N"),
        alt.Tooltip("comm:N"),
        alt.Tooltip("last:N", title="last rank"),
        alt.Tooltip("wait:Q", title="waiting (ms)", format=".3f"),
        alt.Tooltip("transfer:Q", title="transfer (ms)", format=".3f"),
    ]
    y = alt.Y("shown:Q", scale=alt.Scale(domain=[0, top]), axis=lane_axis("collectives\nms first to last", LANE))
    bars = alt.Chart(values(rows)).mark_rule(strokeWidth=1.5, clip=True)
    opacity = alt.Opacity("seen:Q", scale=None, legend=None)
    return [bars.encode(x=time_x(span), y=y, y2="zero:Q", color=colour, opacity=opacity, tooltip=tips)]
