"""The replica's state: its regime, how long requests waited, how much memory was free, pins taken off."""

from __future__ import annotations

import altair as alt
import polars as pl

from postmortem.render.chart import Frames, values
from postmortem.render.columns import ceiling, ended, extremes
from postmortem.render.theme import ALIKE, COLUMNS, INK, LANE, MOST_ROWS, OTHER, REGIME_COLOURS, STATE_COLOURS
from postmortem.render.time_axis import Span, lane_axis, row_axis, time_x, within

#: Height of a strip of regimes, pixels.
STRIP = 18
#: More ranks than these have no strip of their own.
MOST_RANKS = 8


def regime_lane(frames: Frames, span: Span, notes: list[str]) -> tuple[list[alt.Chart], int]:
    """The replica's regime, that of its worst rank, as a strip, the reason on each stretch; how many rows it has.

    Where ranks were in other regimes than it, each has a strip below.
    """
    found = within(frames["regimes"].filter(pl.col("regime").is_in(list(REGIME_COLOURS))), span, "start_ns", "end_ns")
    strip, own = found.filter(pl.col("rank").is_null()), found.drop_nulls("rank")
    if strip.is_empty() and own.is_empty():
        return [], 0
    ranks = _unlike(own, frames["links"]["rank"].drop_nulls().unique().to_list())
    if len(ranks) > MOST_RANKS:
        notes.append(f"regimes: {MOST_RANKS} of {len(ranks)} ranks, the blamed and the least normal")
    kept = pl.concat([strip, own.filter(pl.col("rank").is_in(sorted(ranks[:MOST_RANKS])))])
    severity = pl.col("regime").replace_strict(list(REGIME_COLOURS), range(len(REGIME_COLOURS)), return_dtype=pl.Int64)
    count = min(COLUMNS, MOST_ROWS // max(1, kept["rank"].n_unique()))
    drawn, said = extremes(kept.with_columns(severity=severity), "start_ns", "severity", ("rank",), count=count)
    if said:
        notes.append(f"regimes: {said.replace('largest', 'worst')}")
    words = [name.replace("_", " ") for name in REGIME_COLOURS]
    whose = pl.when(pl.col("rank").is_null()).then(pl.lit("regime, worst rank"))
    rows = drawn.select(
        span.since("start_ns").clip(0).alias("t"),
        span.since("end_ns").clip(0, span.seconds).alias("t2"),
        pl.col("regime").str.replace_all("_", " "),
        pl.col("reason").fill_null(""),
        whose=whose.otherwise(pl.concat_str(pl.lit("regime, rank "), "rank")),
    )
    order = rows["whose"].unique(maintain_order=True).to_list()
    seen = [word for word in words if word in rows["regime"]]
    colours = dict(zip(words, REGIME_COLOURS.values(), strict=True))
    strips = (
        alt.Chart(values(rows))
        .mark_rect(clip=True, height=STRIP - 6)
        .encode(
            x=time_x(span),
            x2="t2:Q",
            y=alt.Y("whose:N", sort=order, scale=alt.Scale(domain=order), axis=row_axis(order)),
            color=alt.Color(
                "regime:N",
                scale=alt.Scale(domain=seen, range=[colours[word] for word in seen]),
                legend=alt.Legend(title="regime"),
            ),
            tooltip=[alt.Tooltip("whose:N"), alt.Tooltip("regime:N"), alt.Tooltip("reason:N")],
        )
    )
    return [strips], len(order)


def _unlike(own: pl.DataFrame, blamed: list[int]) -> list[int]:
    """All ranks where any divided its time in another way than the others, the blamed and the least normal first."""
    times = own.group_by("rank", "regime").agg(ns=(pl.col("end_ns") - pl.col("start_ns")).sum())
    parts = times.with_columns(share=pl.col("ns") / pl.col("ns").sum().over("rank")).pivot(
        "regime", index="rank", values="share", sort_columns=True
    )
    shares = parts.drop("rank").fill_null(0.0)
    spread = max((float(shares[c].max() - shares[c].min()) for c in shares.columns), default=0.0)  # type: ignore[operator, arg-type]
    if spread < ALIKE:
        return []
    normal = shares["normal"] if "normal" in shares.columns else pl.repeat(0.0, shares.height, eager=True)
    order = parts.select("rank", normal=normal).sort("normal", "rank")["rank"].to_list()
    return [r for r in order if r in blamed] + [r for r in order if r not in blamed]


def queue_lane(frames: Frames, span: Span, notes: list[str]) -> list[alt.Chart]:
    """How long the requests of each iteration had waited; nothing where none ever did."""
    waits = within(frames["iterations"].drop_nulls(["start_ns", "queue_ms"]), span, "start_ns")
    if waits.is_empty() or not waits["queue_ms"].max():
        return []
    drawn, said = extremes(waits, "start_ns", "queue_ms")
    if said:
        notes.append(f"waits: {said}")
    rows = drawn.select(span.since("start_ns").alias("t"), "queue_ms", "iteration")
    top, _ = ceiling(rows["queue_ms"])
    y = alt.Y("queue_ms:Q", scale=alt.Scale(domain=[0, top]), axis=lane_axis("queue\nms waited", LANE))
    line = alt.Chart(values(rows)).mark_line(color=OTHER, strokeWidth=1.2, clip=True)
    tips = [alt.Tooltip("iteration:Q"), alt.Tooltip("queue_ms:Q", title="median wait (ms)")]
    return [line.encode(x=time_x(span), y=y, tooltip=tips)]


def memory_lane(frames: Frames, span: Span, notes: list[str]) -> list[alt.Chart]:
    """Free memory of the fullest rank; what pins held of it is shaded, what was left of it a line."""
    pins = pl.col("isr_pinned_mb").fill_null(0) + pl.col("ckpt_pinned_mb").fill_null(0)
    told = within(frames["iterations"].drop_nulls(["start_ns", "vram_free_mb"]), span, "start_ns")
    told = told.with_columns(pinned_mb=pins, left_mb=pl.col("vram_free_mb") - pins)
    if told.is_empty():
        return []
    drawn, said = extremes(told.with_columns(fullness=-pl.col("left_mb")), "start_ns", "fullness")
    if said:
        notes.append(f"memory: {said}")
    rows = ended(drawn, "start_ns", "end_ns").select(
        span.since("start_ns").alias("t"), "vram_free_mb", "left_mb", "isr_pinned_mb", "ckpt_pinned_mb", "iteration"
    )
    top = ceiling(rows["vram_free_mb"])[0] * 1.1
    bottom = min(0.0, float(rows["left_mb"].min() or 0.0))  # type: ignore[arg-type]
    y = alt.Y(
        "left_mb:Q",
        scale=alt.Scale(domain=[bottom, top], nice=False),
        axis=lane_axis("free memory (MiB)\npins shaded", LANE),
    )
    tips = [
        alt.Tooltip("iteration:Q"),
        alt.Tooltip("vram_free_mb:Q", title="free (MiB)"),
        alt.Tooltip("isr_pinned_mb:Q", title="pinned by replication (MiB)"),
        alt.Tooltip("ckpt_pinned_mb:Q", title="pinned by checkpoint (MiB)"),
        alt.Tooltip("left_mb:Q", title="left (MiB)"),
    ]
    data = values(rows)
    held = alt.Chart(data).mark_area(color=STATE_COLOURS["waiting"], opacity=0.5, interpolate="step-after", clip=True)
    line = alt.Chart(data).mark_line(color=INK, strokeWidth=1.2, interpolate="step-after", clip=True)
    return [
        held.encode(x=time_x(span), y=y, y2="vram_free_mb:Q", tooltip=tips),
        line.encode(x=time_x(span), y=y, tooltip=tips),
    ]
