"""What happened when: the chain's links over the lanes that show them, on one time axis.

Columns wanted (times UTC epoch ns): ``links`` n, kind, grade, replica, rank, start_ns, end_ns;
``rank_iterations`` rank, iteration, start_ns, end_ns, compute_ns, comm_ns, sync_ns, idle_ns (ns);
``collectives`` seq, op, first_arrival_ns, wait_ns, transfer_ns (ns), straggler_rank;
``iterations`` iteration, start_ns, end_ns, batch_size (sequences), algo_id, queue_ms (ms), vram_free_mb,
isr_pinned_mb, ckpt_pinned_mb (MiB); ``regimes`` rank, start_ns, end_ns, regime, reason;
``request_steps`` step, ts_ns, batch_size, algo_id, margin (logits), role;
``flips`` req_id, step, margin, ts_ns; ``baseline`` start_ns, end_ns.
"""

from __future__ import annotations

import altair as alt
import polars as pl

from postmortem.base.units import NS_PER_MS, clock_text, count, ms, number
from postmortem.render.chart import Chart, Frames, Wants, note, nothing, sentence
from postmortem.render.lanes.chain import chain_lane
from postmortem.render.lanes.overview import overview
from postmortem.render.lanes.ranks import collective_lane, rank_lanes
from postmortem.render.lanes.request import life, margin_lane, own_steps
from postmortem.render.lanes.scheduler import batch_lane, tactic_lane
from postmortem.render.lanes.state import STRIP, memory_lane, queue_lane, regime_lane
from postmortem.render.theme import LANE, WIDTH
from postmortem.render.time_axis import Span, backdrop, lane, within
from postmortem.render.words import plain_kind

#: Height of a link's row, pixels: its mark, and an arrow's head above.
ROW = 26
#: A recording longer than this many times the incident is drawn around the incident only.
AROUND = 12
#: The incident is taken to last this many median iterations at least: with five times as long on either side it is
#: about a hundred, each some eight pixels wide, so that links within one iteration are seen beside the others.
LEAST = 10

WANTS: Wants = {
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
        "queue_ms": pl.Float64,
        "vram_free_mb": pl.Float64,
        "isr_pinned_mb": pl.Float64,
        "ckpt_pinned_mb": pl.Float64,
    },
    "regimes": {
        "rank": pl.Int64,
        "start_ns": pl.Int64,
        "end_ns": pl.Int64,
        "regime": pl.String,
        "reason": pl.String,
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


def build(frames: Frames) -> alt.TopLevelMixin:
    """The lanes, from the chain at the top to the request's margins at the bottom."""
    span, cut = _span(frames)
    notes = [cut] if cut else []
    if span is None:
        return alt.vconcat(nothing("no time is recorded that could be drawn", WIDTH))
    back = backdrop(span, frames["links"], frames["baseline"])
    lanes: list[tuple[list[alt.Chart], int]] = []
    links = within(frames["links"].drop_nulls("start_ns"), span, "start_ns", None)
    if links.height:
        own = own_steps(frames, span)
        lanes.append((chain_lane(links, own, span), ROW * (links.height + own["req_id"].n_unique()) + 6))
    lanes += [(layers, LANE) for layers in rank_lanes(frames, span, notes)]
    for make, height in (
        (collective_lane, LANE),
        (batch_lane, LANE),
        (queue_lane, LANE),
        (memory_lane, LANE),
    ):
        layers = make(frames, span, notes)
        if layers:
            lanes.append((layers, height))
    regimes, rows = regime_lane(frames, span, notes)
    tactics, kinds = tactic_lane(frames, span)
    margins = margin_lane(frames, span, notes)
    below = ((regimes, STRIP * rows + 4), (tactics, STRIP * kinds + 4), (margins, LANE + 18))
    lanes += [(layers, height) for layers, height in below if layers]
    if not lanes:
        return alt.vconcat(nothing("no lane has a record in this stretch of time", WIDTH))
    drawn = [
        lane([*back, *layers], height, span, f"lane_{n}", last=n == len(lanes) - 1)
        for n, (layers, height) in enumerate(lanes)
    ]
    above = overview(frames, span)
    behind = ["Dashed line: the flip."] if "token_flip" in links["kind"] else []
    calm = within(frames["baseline"], span, "start_ns", "end_ns")
    behind += ["Shaded: the calm iterations that links are compared with."] if calm.height else []
    behind += ["Orange: the request itself; other iterations are dimmed."] if life(frames, span) else []
    said = [" ".join(behind)] if behind else []
    said += [f"Cap: {'; '.join(dict.fromkeys(notes))}."] if notes else []
    zoom = alt.TopLevelSelectionParameter(
        name="zoom",
        select=alt.IntervalSelectionConfig(
            type="interval", encodings=["x"], zoom="wheel![event.ctrlKey || event.metaKey]"
        ),
        bind="scales",
        views=[f"lane_{n}" for n in range(len(lanes))],
    )
    stack: alt.VConcatChart = alt.vconcat(*drawn).resolve_scale(
        x="shared", color="independent", opacity="independent", shape="independent"
    )
    whole = alt.vconcat(*above, stack, params=[zoom], title=note(said), usermeta=_usermeta(links, span))
    chart: alt.TopLevelMixin = whole.resolve_scale(x="independent", color="independent")
    return chart


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
    whole = Span(min(ends), max(*ends, min(ends) + 1_000))
    links = frames["links"].drop_nulls("start_ns")
    if links.is_empty():
        return whole, ""
    start = min(links["start_ns"].to_list())
    end = max(pl.concat([links["start_ns"], links["end_ns"]]).drop_nulls().to_list())
    length = max(end - start, LEAST * _iteration_ns(frames))
    if whole.end_ns - whole.start_ns <= AROUND * length:
        return whole, ""
    around = Span(max(whole.start_ns, start - 5 * length), min(whole.end_ns, end + 5 * length))
    return around, f"{around.seconds:.3g} s around the incident, of {whole.seconds:.3g} s recorded"


def _iteration_ns(frames: Frames) -> int:
    """The median iteration, ns: the engine's, else a rank's, else between two of the request's own steps; else 1 ms."""
    own = frames["request_steps"].filter(pl.col("role").eq_missing("request"))["ts_ns"].drop_nulls().sort()
    took = [frames[name]["end_ns"] - frames[name]["start_ns"] for name in ("iterations", "rank_iterations")]
    medians = (lasted.median() for lasted in (*took, own.diff()))
    return next((int(median) for median in medians if isinstance(median, float) and median > 0), NS_PER_MS)


def _usermeta(links: pl.DataFrame, span: Span) -> dict[str, list[float]]:
    """For the page: the seconds that are drawn, and those that hold the chain, with some room, to zoom to."""
    whole = [0.0, round(span.seconds, 6)]
    if links.is_empty():
        return {"whole": whole}
    ends = pl.concat([links["start_ns"], links["end_ns"]]).drop_nulls()
    around = pl.DataFrame({"first": [ends.min()], "last": [ends.max()]}).select(
        span.since("first").alias("first"), span.since("last").alias("last")
    )
    first, last = around.row(0)
    room = max((last - first) * 0.15, span.seconds * 0.01)
    return {"whole": whole, "incident": [round(max(0.0, first - room), 6), round(min(span.seconds, last + room), 6)]}


def tells(frames: Frames) -> str:
    """The links in order, each with its start on the clock and how long it lasted; without one the iterations."""
    said = []
    for link in frames["links"].drop_nulls(["n", "kind"]).sort("n").iter_rows(named=True):
        rank = "" if link["rank"] is None else f", rank {link['rank']}"
        text = f"{link['n']} {plain_kind(link['kind'])}{rank}"
        if link["start_ns"] is not None:
            text += f", {clock_text(link['start_ns'])}"
            if link["end_ns"] is not None and link["end_ns"] > link["start_ns"]:
                text += f", for {number(ms(link['end_ns'] - link['start_ns']))} ms"
        said.append(text)
    if said:
        return sentence([f"the chain from cause to flip: {'; '.join(said)}"])
    iterations = frames["iterations"].drop_nulls(["start_ns", "end_ns"])
    if iterations.is_empty():
        return ""
    took = (iterations["end_ns"] - iterations["start_ns"]) / NS_PER_MS
    median, longest = number(took.median()), number(took.max())  # type: ignore[arg-type]
    times = count(took.len(), "iteration")
    return sentence([f"no link is drawn; {times}, of {median} ms in the median, the longest {longest} ms"])


CHART = Chart(
    "incident_timeline",
    "Incident timeline",
    "What happened when, from the cause to the flip?",
    WANTS,
    build,
    tells,
    "time",
)
