"""What a collective costs by its size: the transfers that were seen, and the line alpha + bytes / beta through them.

Columns wanted: ``transfer_sizes`` comm, op, ranks, regime, bytes (B), messages, median_us, low_us, high_us, longest_us
(µs), longest_seq; ``transfer_lines`` comm, op, ranks, regime, alpha_us, alpha_low_us, alpha_high_us (µs), beta_gbps,
beta_low_gbps, beta_high_gbps (GB/s), messages.

A panel a kind of collective, a colour a regime of the fabric. The band joins the ends of alpha's and of beta's 95 %
intervals; the two err against each other, so that it is rather too wide than too narrow.
"""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import numpy as np
import polars as pl

from postmortem.base.units import count, number
from postmortem.render.chart import Chart, Frames, Wants, note, nothing, sentence, values
from postmortem.render.theme import FABRIC_COLOURS, WIDTH

#: Kinds of collectives that stand side by side; of more, those that were sent the most.
MOST_KINDS = 3
#: Sizes that are drawn of a kind and regime; of more, those that were sent the most, the least and largest too.
MOST_SIZES = 40
#: Points of a drawn line: it is bent, the axes being logarithmic.
POINTS = 40
#: Lines that are told in words, those of most messages.
MOST_TOLD = 6
#: Marks of the fabric's regimes, in the order of their colours.
SHAPES = ("circle", "square", "diamond", "triangle-up", "cross")
#: Height of a panel, and room beside it for its axis, pixels.
HEIGHT = 240
AXIS = 70

GROUP = ["comm", "op", "ranks", "regime"]
KIB = 1024
#: Bytes a GB/s moves in a µs.
PER_US = 1e3

WANTS: Wants = {
    "transfer_sizes": {
        "comm": pl.String,
        "op": pl.String,
        "ranks": pl.Int64,
        "regime": pl.String,
        "bytes": pl.Int64,
        "messages": pl.Int64,
        "median_us": pl.Float64,
        "low_us": pl.Float64,
        "high_us": pl.Float64,
        "longest_us": pl.Float64,
        "longest_seq": pl.Int64,
    },
    "transfer_lines": {
        "comm": pl.String,
        "op": pl.String,
        "ranks": pl.Int64,
        "regime": pl.String,
        "alpha_us": pl.Float64,
        "alpha_low_us": pl.Float64,
        "alpha_high_us": pl.Float64,
        "beta_gbps": pl.Float64,
        "beta_low_gbps": pl.Float64,
        "beta_high_gbps": pl.Float64,
        "messages": pl.Int64,
    },
}


def _kind() -> pl.Expr:
    """A kind of collective in words: ``AllReduce, 8 ranks, comm 0x1``."""
    comm = pl.col("comm").fill_null("")
    return pl.concat_str(
        pl.col("op").fill_null("collective"),
        pl.concat_str(pl.lit(", "), pl.col("ranks"), pl.lit(" ranks")).fill_null(""),
        pl.when(comm == "").then(pl.lit("")).otherwise(pl.concat_str(pl.lit(", comm "), comm)),
    )


def _regime() -> pl.Expr:
    return pl.when(pl.col("regime").is_in(list(FABRIC_COLOURS))).then("regime").otherwise(pl.lit("not known"))


def _sizes(frames: Frames) -> pl.DataFrame:
    """The sizes that can stand on logarithmic axes, with their kind."""
    rows = frames["transfer_sizes"].filter(pl.col("bytes") > 0, pl.col("median_us") > 0)
    return rows.with_columns(kind=_kind(), regime=_regime())


def _lines(frames: Frames) -> pl.DataFrame:
    rows = frames["transfer_lines"].drop_nulls(["alpha_us", "beta_gbps"])
    return rows.with_columns(kind=_kind(), regime=_regime())


def build(frames: Frames) -> alt.TopLevelMixin:
    """The panels side by side, each with its own axes."""
    sizes, lines = _sizes(frames), _lines(frames)
    if sizes.is_empty():
        return alt.hconcat(nothing("no collective of a known size is recorded on two ranks", WIDTH))
    order = sizes.group_by("kind").agg(pl.col("messages").sum()).sort(["messages", "kind"], descending=[True, False])
    kinds = order["kind"].head(MOST_KINDS).to_list()
    said = []
    if order.height > MOST_KINDS:
        said.append(f"Cap: the {MOST_KINDS} kinds sent most often, of {order.height}.")
    own = ["kind", "regime"]
    often = pl.struct("messages", "bytes").rank("ordinal", descending=True).over(own) <= MOST_SIZES
    size = pl.col("bytes")
    end = (size == size.min().over(own)) | (size == size.max().over(own))
    among = sizes.filter(pl.col("kind").is_in(kinds)).sort("kind", "regime", "bytes")
    drawn = among.filter(often | end)
    if drawn.height < among.height:
        said.append(f"Cap: the sizes sent most often, {drawn.height} of {among.height}.")
    said.append("Point: median; whisker: from 5 to 95 % of the transfers; tick: the longest.")
    told = lines.filter(pl.col("kind").is_in(kinds))
    if told.height:
        said.append("Line: alpha + bytes / beta; band: between the ends of both 95 % intervals.")
    else:
        said.append("No line: it wants two sizes, each sent five times in one regime.")
    regimes = [name for name in FABRIC_COLOURS if name in drawn["regime"] or name in told["regime"]]
    width = WIDTH // len(kinds) - AXIS
    panels = [
        _panel(drawn.filter(pl.col("kind") == kind), told.filter(pl.col("kind") == kind), regimes, first=not n)
        .properties(width=width, height=HEIGHT, title=alt.Title(kind, limit=width))
        for n, kind in enumerate(kinds)
    ]  # fmt: skip
    chart: alt.TopLevelMixin = alt.hconcat(*panels, title=note(said)).resolve_scale(color="shared", shape="shared")
    return chart


def _panel(sizes: pl.DataFrame, lines: pl.DataFrame, regimes: list[str], *, first: bool) -> alt.LayerChart:
    """One kind's points, whiskers, lines and bands; both axes logarithmic."""
    fitted = _fitted(lines, sizes["bytes"])
    seen = pl.concat([sizes["low_us"], sizes["longest_us"], fitted["at"]])
    bottom, top = float(seen.filter(seen > 0).min()) / 1.2, float(seen.max()) * 1.2  # type: ignore[arg-type]
    kib = sizes["bytes"] / KIB
    least, most = float(kib.min()), float(kib.max())  # type: ignore[arg-type]
    x = alt.X(
        "kib:Q",
        title="message size (KiB, log scale)",
        scale=alt.Scale(type="log", domain=[least / 1.3, most * 1.3], nice=False),
        axis=alt.Axis(values=_ticks(least, most), format="~g", grid=False),
    )

    def y(field: str) -> alt.Y:
        return alt.Y(
            f"{field}:Q",
            title="transfer (µs, log scale)" if first else None,
            scale=alt.Scale(type="log", domain=[bottom, top], nice=False),
            axis=alt.Axis(values=_ticks(bottom, top), format="~g"),
        )

    scale = alt.Scale(domain=regimes, range=[FABRIC_COLOURS[name] for name in regimes])
    colour = alt.Color("regime:N", title="fabric", scale=scale)
    shapes = alt.Scale(domain=regimes, range=[SHAPES[list(FABRIC_COLOURS).index(name)] for name in regimes])
    tips = [
        alt.Tooltip("kind:N"),
        alt.Tooltip("regime:N", title="fabric"),
        alt.Tooltip("bytes:Q", title="size (B)", format=","),
        alt.Tooltip("messages:Q", format=","),
        alt.Tooltip("median_us:Q", title="median (µs)", format=".4~g"),
        alt.Tooltip("low_us:Q", title="5 % within (µs)", format=".4~g"),
        alt.Tooltip("high_us:Q", title="95 % within (µs)", format=".4~g"),
        alt.Tooltip("longest_us:Q", title="longest (µs)", format=".4~g"),
        alt.Tooltip("longest_seq:Q", title="seq of the longest"),
    ]
    dots = alt.Chart(values(sizes.with_columns(kib=kib).drop(GROUP[:-1]))).encode(x=x, color=colour)
    layers = [
        dots.mark_rule(strokeWidth=1.2, clip=True).encode(y=y("low_us"), y2="high_us:Q"),
        dots.mark_tick(thickness=1.5, size=8, opacity=1, orient="horizontal").encode(y=y("longest_us"), tooltip=tips),
        dots.mark_point(filled=True, size=60, opacity=1).encode(
            y=y("median_us"), shape=alt.Shape("regime:N", title="fabric", scale=shapes), tooltip=tips
        ),
    ]
    if fitted.height:
        line_tips = [
            alt.Tooltip("kind:N"),
            alt.Tooltip("regime:N", title="fabric"),
            alt.Tooltip("alpha:N", title="alpha (µs)"),
            alt.Tooltip("beta:N", title="beta (GB/s)"),
            alt.Tooltip("messages:Q", format=","),
        ]
        base = alt.Chart(values(fitted)).encode(x=x, color=colour, tooltip=line_tips)
        layers = [
            base.mark_area(opacity=0.25, clip=True).encode(y=y("low"), y2="high:Q"),
            base.mark_line(strokeWidth=1.5, clip=True).encode(y=y("at")),
            *layers,
        ]
    return alt.LayerChart(layer=layers)


def _fitted(lines: pl.DataFrame, sizes: pl.Series) -> pl.DataFrame:
    """The lines as points over the sizes (bytes), with their band; what is not above zero cannot be drawn."""
    figures: dict[str, Any] = dict.fromkeys(("kib", "at", "low", "high"), pl.Float64)
    schema = figures | dict.fromkeys(("regime", "kind", "alpha", "beta"), pl.String) | {"messages": pl.Int64}
    at = np.geomspace(sizes.min(), sizes.max(), POINTS)  # type: ignore[arg-type]
    rows = []
    for line in lines.sort("regime").to_dicts():
        alpha, beta = _interval(line, "alpha", "us"), _interval(line, "beta", "gbps")
        ends = [(line["alpha_us"], line["beta_gbps"]), (line["alpha_low_us"], line["beta_high_gbps"])]
        ends.append((line["alpha_high_us"], line["beta_low_gbps"]))
        for size in at.tolist():
            middle, low, high = (None if a is None or not b else a + size / b / PER_US for a, b in ends)
            if middle is None or middle <= 0:
                continue
            low = middle if low is None else max(low, middle / 1e3)
            row = (size / KIB, middle, low, middle if high is None else high)
            rows.append((*row, line["regime"], line["kind"], alpha, beta, line["messages"]))
    return pl.DataFrame(rows, schema=schema, orient="row")


def _interval(line: dict[str, Any], name: str, unit: str) -> str:
    """A figure with its interval: ``12.3 (11.8 to 12.7)``; what is infinite or not known in words."""
    value, low, high = (line[f"{name}{end}_{unit}"] for end in ("", "_low", "_high"))
    words = ["not known" if x is None else "no bound" if math.isinf(x) else number(x) for x in (value, low, high)]
    return f"{words[0]} ({words[1]} to {words[2]})"


def _ticks(low: float, high: float) -> list[float]:
    """Powers of two within two figures, or every so-many-th of them: at most about eight."""
    first, last = math.ceil(math.log2(low) - 1e-9), math.floor(math.log2(high) + 1e-9)
    step = max(1, -(-(last - first) // 7))
    return [2.0**n for n in range(first, last + 1, step)]


def _of(through: int, seen: int) -> str:
    """The transfers that a line is drawn through, of how many where that is fewer than were seen."""
    return f"{through:,} of {count(seen, 'transfer')}" if seen > through else count(through, "transfer")


def tells(frames: Frames) -> str:
    """Each line's alpha and beta with their intervals, by kind and regime; without a line the medians.

    A line may go through fewer transfers than were seen: of very many a random sample, of sizes sent often enough.
    """
    lines = _lines(frames).sort(["messages", "kind", "regime"], descending=[True, False, False])
    sizes = _sizes(frames).sort(["messages", "kind", "bytes"], descending=[True, False, False])
    seen = {
        (kind, regime): n for kind, regime, n in sizes.group_by("kind", "regime").agg(pl.col("messages").sum()).rows()
    }
    said = [
        f"{row['kind']}, fabric {row['regime']}: {_interval(row, 'alpha', 'us')} µs to start and "
        f"{_interval(row, 'beta', 'gbps')} GB/s, from {_of(row['messages'], seen.get((row['kind'], row['regime']), 0))}"
        for row in lines.head(MOST_TOLD).to_dicts()
    ]
    return sentence(
        said
        or [
            f"{row['kind']}, fabric {row['regime']}: {count(row['messages'], 'transfer')} of {row['bytes']:,} B took "
            f"{number(row['median_us'])} µs in the median"
            for row in sizes.head(MOST_TOLD).to_dicts()
        ]
    )


CHART = Chart(
    "transfer_lines",
    "Transfers by message size",
    "What did a collective cost to start, and a byte to move, once all ranks had arrived?",
    WANTS,
    build,
    tells,
    "collectives",
)
