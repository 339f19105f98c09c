"""What happened when: the chain's links over the lanes that show them, on one time axis.

Columns wanted (times UTC epoch ns): ``links`` n, kind, grade, replica, rank, start_ns, end_ns;
``rank_iterations`` rank, iteration, start_ns, end_ns, compute_ns, comm_ns, sync_ns, idle_ns (ns);
``collectives`` seq, op, first_arrival_ns, wait_ns, transfer_ns (ns), straggler_rank;
``iterations`` iteration, start_ns, end_ns, batch_size (sequences), algo_id, queue_ms (ms);
``request_steps`` step, ts_ns, batch_size, algo_id, margin (logits), role;
``flips`` req_id, step, margin, ts_ns; ``baseline`` start_ns, end_ns.
"""

from __future__ import annotations

import altair as alt
import polars as pl

from postmortem.base.units import NS_PER_MS
from postmortem.chain.model import Grade
from postmortem.render.chart import Chart, Frames, note, nothing, values
from postmortem.render.columns import ceiling, extremes
from postmortem.render.theme import (
    GRADE_COLOURS,
    INK,
    LANE,
    LIT,
    OTHER,
    PAPER,
    STATE_COLOURS,
    TACTIC_COLOURS,
    WIDTH,
)
from postmortem.render.time_axis import GUTTER, Span, backdrop, lane, lane_axis, time_x, within

#: More ranks than these are not drawn one by one: the blamed ones, then those that wait the most.
MOST_RANKS = 8
#: More tactics than these share one row.
MOST_TACTICS = 6
#: Columns of the tactics' shares.
BINS = 160
#: A recording longer than this many times the incident is drawn around the incident only.
AROUND = 12

WANTS = {
    "links": {
        "n": pl.Int64,
        "kind": pl.String,
        "grade": pl.String,
        "replica": pl.String,
        "rank": pl.Int64,
        "iteration": pl.Int64,
        "start_ns": pl.Int64,
        "end_ns": pl.Int64,
        "summary": pl.String,
    },
    "rank_iterations": {
        "rank": pl.Int64,
        "iteration": pl.Int64,
        "start_ns": pl.Int64,
        "end_ns": pl.Int64,
        "compute_ns": pl.Int64,
        "comm_ns": pl.Int64,
        "sync_ns": pl.Int64,
        "idle_ns": pl.Int64,
    },
    "collectives": {
        "comm": pl.String,
        "seq": pl.Int64,
        "op": pl.String,
        "first_arrival_ns": pl.Int64,
        "wait_ns": pl.Int64,
        "transfer_ns": pl.Int64,
        "straggler_rank": pl.Int64,
        "source": pl.String,
    },
    "iterations": {
        "iteration": pl.Int64,
        "start_ns": pl.Int64,
        "end_ns": pl.Int64,
        "batch_size": pl.Int64,
        "algo_id": pl.String,
    },
    "request_steps": {
        "req_id": pl.String,
        "step": pl.Int64,
        "iteration": pl.Int64,
        "ts_ns": pl.Int64,
        "batch_size": pl.Int64,
        "algo_id": pl.String,
        "token_id": pl.Int64,
        "margin": pl.Float64,
        "role": pl.String,
    },
    "flips": {
        "req_id": pl.String,
        "reference": pl.String,
        "step": pl.Int64,
        "token_id": pl.Int64,
        "reference_token_id": pl.Int64,
        "margin": pl.Float64,
        "iteration": pl.Int64,
        "ts_ns": pl.Int64,
    },
    "baseline": {"start_ns": pl.Int64, "end_ns": pl.Int64},
}

_STATES = ("compute", "transfer", "waiting", "idle")
_STATE_COLUMNS = dict(zip(_STATES, ("compute_ns", "comm_ns", "sync_ns", "idle_ns"), strict=True))


def build(frames: Frames) -> alt.VConcatChart:
    """The lanes, from the chain at the top to the request's margins at the bottom."""
    span, cut = _span(frames)
    notes = [cut] if cut else []
    if span is None:
        return alt.vconcat(nothing("no time is recorded that could be drawn", WIDTH))
    back = backdrop(span, frames["links"], frames["baseline"])
    lanes: list[tuple[list[alt.Chart], int]] = []
    links = within(frames["links"].drop_nulls("start_ns"), span, "start_ns", None)
    if links.height:
        lanes.append((_chain_lane(links, span), 21 * links.height + 6))
    lanes += [(layers, LANE) for layers in _rank_lanes(frames, span, notes)]
    for make, height in ((_collective_lane, LANE), (_batch_lane, LANE), (_margin_lane, LANE + 18)):
        layers = make(frames, span, notes)
        if layers:
            lanes.append((layers, height))
    tactics, rows = _tactic_lane(frames, span)
    if tactics:
        lanes.insert(len(lanes) - 1 if frames["request_steps"].height else len(lanes), (tactics, 16 * rows + 4))
    if not lanes:
        return alt.vconcat(nothing("no lane has a record in this stretch of time", WIDTH))
    drawn = [
        lane([*back, *layers], height, span, f"lane_{n}", last=n == len(lanes) - 1)
        for n, (layers, height) in enumerate(lanes)
    ]
    said = ["Dashed line: the flip. Drag to pan, Ctrl and scroll to zoom, double-click to see all."]
    said += [f"Cap: {'; '.join(dict.fromkeys(notes))}."] if notes else []
    zoom = alt.TopLevelSelectionParameter(
        name="zoom",
        select=alt.IntervalSelectionConfig(
            type="interval", encodings=["x"], zoom="wheel![event.ctrlKey || event.metaKey]"
        ),
        bind="scales",
        views=[f"lane_{n}" for n in range(len(lanes))],
    )
    return alt.vconcat(*drawn, params=[zoom], title=note(said), usermeta=_usermeta(links, span)).resolve_scale(
        x="shared", color="independent", opacity="independent"
    )


def _span(frames: Frames) -> tuple[Span | None, str]:
    """The stretch to draw: all that was recorded, or the part around the incident."""
    ends = []
    for name, start, end in (
        ("iterations", "start_ns", "end_ns"),
        ("rank_iterations", "start_ns", "end_ns"),
        ("collectives", "first_arrival_ns", "first_arrival_ns"),
        ("request_steps", "ts_ns", "ts_ns"),
        ("links", "start_ns", "end_ns"),
    ):
        frame = frames[name]
        if name == "request_steps":
            frame = frame.filter(pl.col("role").eq_missing("request"))
        ends += [x for x in (frame[start].min(), frame[start].max(), frame[end].max()) if isinstance(x, int)]
    if not ends:
        return None, ""
    whole = Span(min(ends), max(max(ends), min(ends) + 1_000))
    links = frames["links"].drop_nulls("start_ns")
    if links.is_empty():
        return whole, ""
    start, end = int(links["start_ns"].min()), int(pl.concat([links["start_ns"], links["end_ns"]]).max())  # type: ignore[arg-type]
    length = max(end - start, 1_000_000)
    if whole.end_ns - whole.start_ns <= AROUND * length:
        return whole, ""
    around = Span(max(whole.start_ns, start - 5 * length), min(whole.end_ns, end + 5 * length))
    return around, f"{around.seconds:.3g} s around the incident, of {whole.seconds:.3g} s recorded"


def _usermeta(links: pl.DataFrame, span: Span) -> dict[str, list[float]]:
    """For the page: the seconds that hold the chain, with some room, to zoom to."""
    if links.is_empty():
        return {}
    ends = pl.concat([links["start_ns"], links["end_ns"]]).drop_nulls()
    around = pl.DataFrame({"first": [ends.min()], "last": [ends.max()]}).select(
        span.since("first").alias("first"), span.since("last").alias("last")
    )
    first, last = around.row(0)
    room = max((last - first) * 0.15, span.seconds * 0.01)
    return {"incident": [round(max(0.0, first - room), 6), round(min(span.seconds, last + room), 6)]}


def _chain_lane(links: pl.DataFrame, span: Span) -> list[alt.Chart]:
    grades = [grade.value for grade in Grade]
    rows = links.with_columns(
        span.since("start_ns").alias("t"),
        span.since("end_ns").fill_null(span.since("start_ns")).alias("t2"),
        pl.col("n").cast(pl.String).alias("mark"),
        label=pl.concat_str(
            pl.col("n").cast(pl.String),
            pl.lit(" "),
            pl.col("kind").str.replace_all("_", " ", literal=True),
            pl.when(pl.col("rank").is_not_null())
            .then(pl.concat_str(pl.lit(", rank "), pl.col("rank").cast(pl.String)))
            .otherwise(pl.lit("")),
        ),
    )
    labels = rows["label"].to_list()
    tips = ["label", "grade", "summary", "replica", "rank", "iteration"]
    drawn = rows.select("t", "t2", "mark", *tips)
    y = alt.Y(
        "label:N",
        sort=None,
        scale=alt.Scale(domain=labels),
        axis=alt.Axis(
            title=None,
            labelAlign="left",
            labelPadding=GUTTER - 8,
            labelColor=INK,
            labelLimit=GUTTER - 8,
            minExtent=GUTTER - 6,
            maxExtent=GUTTER - 6,
            ticks=False,
            domain=False,
            grid=False,
        ),
    )
    colour = alt.Color(
        "grade:N",
        scale=alt.Scale(domain=grades, range=[GRADE_COLOURS[grade] for grade in Grade]),
        legend=alt.Legend(title="link's grade", symbolType="circle"),
    )
    chart = alt.Chart(values(drawn))
    bars = chart.mark_bar(height=8, opacity=0.45, clip=True).encode(
        x=time_x(span), x2="t2:Q", y=y, color=colour, tooltip=[f"{tip}:N" for tip in tips]
    )
    arrows = rows.select("t", pl.col("label").alias("to"), pl.col("label").shift(1).alias("from")).drop_nulls("from")
    stems = alt.Chart(values(arrows)).mark_rule(color=INK, strokeWidth=1.2, clip=True)
    heads = alt.Chart(values(arrows)).mark_point(
        shape="triangle-down", filled=True, color=INK, size=36, yOffset=-10, opacity=1, clip=True
    )
    dots = chart.mark_point(shape="circle", filled=True, size=230, opacity=1, clip=True).encode(
        x=time_x(span), y=y, color=colour, tooltip=[f"{tip}:N" for tip in tips]
    )
    numbers = chart.mark_text(color=PAPER, fontWeight="bold", clip=True).encode(x=time_x(span), y=y, text="mark:N")
    return [
        bars,
        stems.encode(x=time_x(span), y=alt.Y("from:N", sort=None), y2="to:N"),
        heads.encode(x=time_x(span), y=alt.Y("to:N", sort=None)),
        dots,
        numbers,
    ]


def _rank_lanes(frames: Frames, span: Span, notes: list[str]) -> list[list[alt.Chart]]:
    """A lane a rank: each iteration's milliseconds by what they were spent on."""
    all_ranks = within(frames["rank_iterations"].drop_nulls(["rank", "start_ns", "end_ns"]), span, "start_ns", "end_ns")
    if all_ranks.is_empty():
        return []
    blamed = frames["links"]["rank"].drop_nulls().unique().to_list()
    order = all_ranks.group_by("rank").agg(pl.col("sync_ns").sum()).sort("sync_ns", "rank", descending=[True, False])
    ranks = [r for r in order["rank"].to_list() if r in blamed] + [r for r in order["rank"].to_list() if r not in blamed]
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
    lanes = []
    for rank in sorted(ranks[:MOST_RANKS]):
        own = drawn.filter(pl.col("rank") == rank).with_columns(
            span.since("start_ns").clip(0).alias("t"), span.since("end_ns").alias("t2")
        )
        name = f"rank {rank}, blamed\nms an iteration" if rank in blamed else f"rank {rank}\nms an iteration"
        lanes.append(_rank_lane(own, name, top, span, first=not lanes))
    return lanes


def _rank_lane(own: pl.DataFrame, name: str, top: float, span: Span, *, first: bool) -> list[alt.Chart]:
    y = alt.Y("ms:Q", stack="zero", scale=alt.Scale(domain=[0, top]), axis=lane_axis(name, LANE))
    data = values(own.select("t", "t2", "rank", "iteration", *(pl.col(s).round(3) for s in _STATES)))
    states = (
        alt.Chart(data)
        .transform_fold(list(_STATES), as_=["state", "ms"])
        .transform_calculate(order=f"indexof({list(_STATES)}, datum.state)")
        .mark_area(interpolate="step-after", clip=True, line=False)
        .encode(
            x=time_x(span),
            y=y,
            color=alt.Color(
                "state:N",
                sort=None,
                scale=alt.Scale(domain=list(_STATES), range=[STATE_COLOURS[s] for s in _STATES]),
                legend=alt.Legend(title="a rank's time") if first else None,
            ),
            order="order:Q",
        )
    )
    tips = [
        alt.Tooltip("rank:Q"),
        alt.Tooltip("iteration:Q"),
        *(alt.Tooltip(f"{s}:Q", title=f"{s} (ms)", format=".3f") for s in _STATES),
    ]
    touch = alt.Chart(data).mark_rect(opacity=0, clip=True).encode(x=time_x(span), x2="t2:Q", tooltip=tips)
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
    return [states, touch, *([marks] if giants.height else [])]


def _collective_lane(frames: Frames, span: Span, notes: list[str]) -> list[alt.Chart]:
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
        "straggler_rank",
        pl.when(pl.col("straggler_rank").is_in(blamed)).then(pl.lit(late)).otherwise(pl.lit("another last")).alias("who"),
    )
    top, over = ceiling(rows["wait"])
    if over:
        notes.append(f"waits above {top:.3g} ms are drawn at the top, their own figure in the tooltip")
    rows = rows.with_columns(pl.col("wait").clip(0, top).alias("shown"), pl.lit(0.0).alias("zero"))
    colour = alt.Color(
        "who:N",
        scale=alt.Scale(domain=[late, "another last"], range=[STATE_COLOURS["waiting"], OTHER]),
        legend=alt.Legend(title="who came last", symbolType="stroke", symbolStrokeWidth=3),
    )
    tips = [
        alt.Tooltip("seq:Q"),
        alt.Tooltip("op:N"),
        alt.Tooltip("comm:N"),
        alt.Tooltip("straggler_rank:Q", title="last rank"),
        alt.Tooltip("wait:Q", title="waiting (ms)", format=".3f"),
        alt.Tooltip("transfer:Q", title="transfer (ms)", format=".3f"),
    ]
    y = alt.Y("shown:Q", scale=alt.Scale(domain=[0, top]), axis=lane_axis("collectives\nms first to last", LANE))
    bars = alt.Chart(values(rows)).mark_rule(strokeWidth=1.5, opacity=1, clip=True)
    return [bars.encode(x=time_x(span), y=y, y2="zero:Q", color=colour, tooltip=tips)]


def _batch_lane(frames: Frames, span: Span, notes: list[str]) -> list[alt.Chart]:
    """The batch's size, the request's own iterations lit."""
    batches = within(frames["iterations"].drop_nulls(["start_ns", "batch_size"]), span, "start_ns")
    if batches.is_empty():
        return []
    # A line may be drawn by its changes alone: nothing is lost.
    changed = batches.sort("start_ns").filter(
        (pl.col("batch_size") != pl.col("batch_size").shift(1)).fill_null(value=True)
        | (pl.int_range(pl.len()) == pl.len() - 1)
    )
    drawn, said = extremes(changed, "start_ns", "batch_size", count=2000)
    if said:
        notes.append(f"batch sizes: {said}")
    rows = drawn.select(span.since("start_ns").alias("t"), "batch_size", "iteration")
    y = alt.Y("batch_size:Q", scale=alt.Scale(zero=True), axis=lane_axis("batch\nsequences", LANE))
    tips = [alt.Tooltip("iteration:Q"), alt.Tooltip("batch_size:Q", title="batch (sequences)")]
    line = alt.Chart(values(rows)).mark_line(color=OTHER, interpolate="step-after", strokeWidth=1.5, clip=True)
    layers = [line.encode(x=time_x(span), y=y, tooltip=tips)]
    own = _own_steps(frames, span).drop_nulls("batch_size").select("t", "batch_size", "iteration", "step")
    if own.height:
        lit = alt.Chart(values(own)).mark_line(color=LIT, interpolate="step-after", strokeWidth=2.5, clip=True)
        layers.append(lit.encode(x=time_x(span), y=y, tooltip=[alt.Tooltip("step:Q"), *tips]))
    return layers


def _own_steps(frames: Frames, span: Span) -> pl.DataFrame:
    steps = frames["request_steps"].filter(pl.col("role").eq_missing("request")).drop_nulls("ts_ns")
    return within(steps, span, "ts_ns").sort("step").with_columns(span.since("ts_ns").alias("t"))


def _tactic_lane(frames: Frames, span: Span) -> tuple[list[alt.Chart], int]:
    """A row a tactic: its share of the iterations in each short stretch, the request's own steps lit."""
    ran = within(frames["iterations"].drop_nulls(["start_ns", "algo_id"]), span, "start_ns")
    if ran.is_empty():
        return [], 0
    by_share = ran["algo_id"].value_counts().sort("count", "algo_id", descending=[True, False])["algo_id"].to_list()
    named = by_share[:MOST_TACTICS]
    other = f"{len(by_share) - len(named)} others"
    rows = [*named, other] if len(by_share) > len(named) else named
    width = span.seconds / BINS

    def called(column: str = "algo_id") -> pl.Expr:
        return pl.when(pl.col(column).is_in(named)).then(pl.col(column)).otherwise(pl.lit(other))

    binned = ran.select(called().alias("tactic"), (span.since("start_ns") / width).floor().alias("bin"))
    shares = (
        binned.group_by("bin", "tactic")
        .len()
        .with_columns(share=pl.col("len") / pl.col("len").sum().over("bin"))
        .with_columns(t=pl.col("bin") * width, t2=(pl.col("bin") + 1) * width)
        .sort("bin", "tactic")
        .select("t", "t2", "tactic", "share", iterations="len")
    )
    y = alt.Y(
        "tactic:N",
        sort=rows,
        scale=alt.Scale(domain=rows),
        axis=alt.Axis(
            title=None,
            labelAlign="left",
            labelPadding=GUTTER - 8,
            labelLimit=GUTTER - 8,
            minExtent=GUTTER - 6,
            maxExtent=GUTTER - 6,
            ticks=False,
            domain=False,
            grid=False,
        ),
    )
    colours = [*TACTIC_COLOURS[: len(named)], OTHER][: len(rows)]
    strips = (
        alt.Chart(values(shares))
        .mark_rect(clip=True)
        .encode(
            x=time_x(span),
            x2="t2:Q",
            y=y,
            color=alt.Color("tactic:N", scale=alt.Scale(domain=rows, range=colours), legend=None),
            opacity=alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.25, 1]), legend=None),
            tooltip=[
                alt.Tooltip("tactic:N"),
                alt.Tooltip("share:Q", title="share of iterations", format=".0%"),
                alt.Tooltip("iterations:Q"),
            ],
        )
    )
    own = _own_steps(frames, span).drop_nulls("algo_id").select("t", "step", "iteration", called().alias("tactic"))
    if own.is_empty():
        return [strips], len(rows)
    ticks = alt.Chart(values(own)).mark_point(shape="circle", filled=True, color=INK, size=9, opacity=1, clip=True)
    lit = ticks.encode(x=time_x(span), y=y, tooltip=[alt.Tooltip("step:Q"), alt.Tooltip("tactic:N"), "iteration:Q"])
    return [strips, lit], len(rows)


def _margin_lane(frames: Frames, span: Span, notes: list[str]) -> list[alt.Chart]:
    """How clear each token's win was, and where it flipped, for the request and the others."""
    own = _own_steps(frames, span).drop_nulls("margin")
    own = own.select("t", "step", "token_id", "margin", "iteration")
    flips = within(frames["flips"].drop_nulls(["ts_ns", "margin"]), span, "ts_ns")
    if own.is_empty() and flips.is_empty():
        return []
    request = frames["request_steps"].filter(pl.col("role").eq_missing("request"))["req_id"].drop_nulls().unique()
    ids = ["req_id", "step", "token_id", "reference", "reference_token_id", "margin", "iteration"]
    flips, said = extremes(flips.with_columns(closeness=-pl.col("margin")), "ts_ns", "closeness")
    if said:
        notes.append(f"flips: {said}")
    rows = flips.select(
        span.since("ts_ns").alias("t"),
        *ids,
        whose=pl.when(pl.col("req_id").is_in(request)).then(pl.lit("this request's")).otherwise(pl.lit("another's")),
    )
    y = alt.Y(
        "margin:Q",
        scale=alt.Scale(type="sqrt", nice=True),
        axis=lane_axis("margin\nlogits, root scale", LANE + 18, ticks=4),
    )
    tips = [alt.Tooltip("step:Q"), alt.Tooltip("token_id:Q"), alt.Tooltip("margin:Q", title="margin (logits)")]
    layers = []
    if own.height:
        line = alt.Chart(values(own)).mark_line(color=LIT, strokeWidth=1.2, point={"color": LIT, "size": 16}, clip=True)
        layers.append(line.encode(x=time_x(span), y=y, tooltip=tips))
    if rows.height:
        stars = alt.Chart(values(rows)).mark_point(filled=True, opacity=1, stroke=INK, strokeWidth=0.8, clip=True)
        domain = ["this request's", "another's"]
        layers.append(
            stars.encode(
                x=time_x(span),
                y=y,
                color=alt.Color(
                    "whose:N", scale=alt.Scale(domain=domain, range=[LIT, OTHER]), legend=alt.Legend(title="flip")
                ),
                shape=alt.Shape("whose:N", scale=alt.Scale(domain=domain, range=["diamond", "triangle-up"])),
                size=alt.condition("datum.whose == \"this request's\"", alt.value(190), alt.value(50)),
                tooltip=[f"{name}:N" for name in ids],
            )
        )
    return layers


CHART = Chart(
    "incident_timeline",
    "Incident timeline",
    "What happened when, from the cause to the flip?",
    WANTS,
    build,
)
